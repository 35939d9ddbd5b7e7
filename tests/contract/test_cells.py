"""Cells: values and texts, checked against their column."""

from typing import Any

import pytest

from marmita.contract.cells import check, parse
from marmita.contract.columns import MAX_WORD, Cell, Column, Kind

NUMBER = Column("n", low=-5, high=1e6, gaps=True)
WHOLE = Column("i", Kind.INTEGER)
FLAG = Column("b", Kind.BOOLEAN)
OPEN = Column("c", Kind.CATEGORY, categories=("a", "NA"), gaps=True, unseen=True)
CLOSED = Column("d", Kind.CATEGORY, categories=("a", "b"))


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (NUMBER, " 1.5 ", 1.5),
        (NUMBER, ".2", 0.2),
        (NUMBER, "-1e0", -1.0),
        (NUMBER, "?", None),
        (NUMBER, "", None),
        (WHOLE, "3.0", 3.0),
        (FLAG, "Yes", True),
        (FLAG, "0", False),
        (OPEN, "NA", "NA"),
        (OPEN, "N/A", None),
        (OPEN, "new", "new"),
        (CLOSED, "b", "b"),
    ],
)
def test_texts_are_parsed_by_the_kind_of_their_column(column: Column, text: str, value: Cell) -> None:
    assert parse(column, text) == value


def test_a_decimal_comma_is_read_where_it_is_the_decimal_mark() -> None:
    assert parse(NUMBER, "1,5", ",") == 1.5
    with pytest.raises(ValueError, match="'1,5'"):
        parse(NUMBER, "1,5")


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (NUMBER, "1.234.5"),
        (NUMBER, "12 kg"),
        (NUMBER, "inf"),
        (NUMBER, "1e400"),
        (NUMBER, "-6"),
        (NUMBER, "\uff11"),
        (WHOLE, "1.5"),
        (WHOLE, ""),
        (FLAG, "2"),
        (CLOSED, "c"),
        (CLOSED, ""),
        (OPEN, "x" * (MAX_WORD + 1)),
    ],
)
def test_a_text_that_is_no_value_of_its_column_is_an_error(column: Column, text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse(column, text)


@pytest.mark.parametrize(
    ("column", "value"),
    [(NUMBER, True), (NUMBER, "1"), (NUMBER, float("nan")), (FLAG, 1), (CLOSED, 1), (WHOLE, None), (NUMBER, 10**400)],
)
def test_a_value_of_another_type_is_an_error(column: Column, value: Cell) -> None:
    with pytest.raises(ValueError, match="must"):
        check(column, value)


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
