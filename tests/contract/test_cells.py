"""Cells of a CSV: the same text is the same value in training and when the model is asked."""

from typing import Any

import pytest

from marmita.contract.cells import parse
from marmita.contract.columns import Column, Kind


def number(decimal: str = "", **more: Any) -> Column:
    return Column("x", gaps=True, decimal=decimal, **more)


@pytest.mark.parametrize(
    ("learned", "file", "text", "value"),
    [
        ("", ".", "1.5", 1.5),
        ("", ".", " -.5e3 ", -500.0),
        ("", ",", "1,5", 1.5),
        ("", ",", "1.5", 1.5),
        ("", ",", "1.234", 1.234),
        (",", ",", "3,5", 3.5),
        (",", ",", "1.234,56", 1234.56),
        (",", ",", "1.234", 1234.0),
        (",", ",", "-1.234.567", -1234567.0),
        (",", ",", "0,125", 0.125),
        (",", ".", "3,5", 3.5),
        (",", ".", "7.4", 7.4),
        (",", ".", "1.234,5", 1234.5),
        (".", ".", "1,234", 1234.0),
        (".", ".", "1,234,567.5", 1234567.5),
        (".", ".", "12.25", 12.25),
        (".", ",", "1,234.5", 1234.5),
        ("", ".", "NA", None),
        (",", ",", "", None),
    ],
)
def test_numbers_are_read_as_the_training_has_learned_them(
    learned: str, file: str, text: str, value: float | None
) -> None:
    assert parse(number(learned), text, file) == value


@pytest.mark.parametrize(
    ("learned", "file", "text"),
    [
        ("", ".", "1,234"),
        ("", ".", "3,5"),
        ("", ",", "1.234,56"),
        (",", ".", "1.234"),  # 1234 in the training's file, but this one has another decimal mark
        (".", ",", "1,234"),
        (".", ".", "12,34"),
        (".", ".", "3,5"),
        (",", ",", "1.23,4"),
        ("", ".", "12 kg"),
        ("", ".", "1_000"),
        ("", ".", "inf"),
        ("", ".", "1e39"),
        ("", ".", "٣"),
    ],
)
def test_a_text_that_is_no_number_or_may_be_two_is_an_error(learned: str, file: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|may be"):
        parse(number(learned), text, file)


def test_spaces_around_a_word_do_not_make_it_another() -> None:
    column = Column("plan", Kind.CATEGORY, categories=("pro", "basic"), gaps=True, unseen=True)

    assert [parse(column, text) for text in ("pro", " pro ", "  ", " NA", "gold ")] == [
        "pro",
        "pro",
        None,
        None,
        "gold",
    ]
