"""The delimiter of a CSV."""

import pytest

from marmita.contract.csv_dialect import delimiter_of

LONG = "x" * 200_000
"""More characters than a cell may have."""


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("a,b", ","),
        ("a;b", ";"),
        ("a\tb", "\t"),
        ("a|b", "|"),
        ("a", ","),
        ('"a;b;c",d', ","),
        ("a,5;b;c", ";"),
        ("", ","),
        (LONG, ","),
        ("x;" * 100_000, ";"),
    ],
)
def test_a_delimiter_is_what_makes_most_columns(line: str, delimiter: str) -> None:
    assert delimiter_of(line) == delimiter
