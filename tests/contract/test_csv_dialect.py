"""The delimiter of a CSV."""

import time

import pytest

from marmita.contract.csv_dialect import COMPARED, delimiter_of

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


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("a\tb, c\n1\t2\n", "\t"),
        ("a|b\n1,2|3\n4,5|6\n", "|"),
        ('"a;x",b\n"1;2",3\n', ","),
        ("name;likes, dislikes, and more\nAnn;tea, cats\nBob;dogs\n", ";"),
        ('a,b\n"x\n;y;",2\n', ","),
        ("a;b;c", ";"),
        ("a\n1\n", ","),
    ],
)
def test_the_delimiter_is_the_one_by_which_the_lines_are_equally_wide(text: str, delimiter: str) -> None:
    assert delimiter_of(text) == delimiter


@pytest.mark.parametrize("hostile", [',"', ',"a', "\"'", ",'a b", "a,b;c\td|\n"])
def test_no_text_takes_long_to_find_its_delimiter(hostile: str) -> None:
    start = time.process_time()

    delimiter_of(hostile * COMPARED)

    assert time.process_time() - start < 1
