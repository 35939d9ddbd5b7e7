"""Cells: single values of a table, checked against their column, or parsed from text."""

import re

from marmita.contract.columns import MAX_WORD, Cell, Column, Kind

GAPS = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "None"})
"""Texts that stand for a gap, unless they are a category."""
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "t", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "no", "f", "n", "0", "0.0"), False),
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_OTHER_MARK = {".": ",", ",": "."}
_GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?", re.ASCII),
}
"""Numbers with marks between their thousands, by their decimal mark."""
_MAX_SHOWN = 40


def parse(column: Column, text: str, decimal: str = ".") -> Cell:
    """Return the value that a text stands for. Raise a ValueError if it is not valid.

    `decimal` is the decimal mark of the file. The one that the column's texts had in training precedes it.
    """
    stripped = text.strip()
    if column.kind is Kind.CATEGORY:
        return check(column, text if text in column.numbers else _without_gap(stripped))
    if stripped in GAPS:
        return check(column, None)
    if column.kind is Kind.BOOLEAN:
        if (found := _BOOLEANS.get(stripped.lower())) is None:
            raise ValueError(f"must be true or false, not {shown(text)}")
        return found
    plain = _plain(column, stripped, decimal)
    if not _NUMBER.fullmatch(plain):
        raise ValueError(f"must be a number, not {shown(text)}")
    return check(column, float(plain))


def check(column: Column, value: Cell) -> Cell:
    """Return a valid value of this column. Raise a ValueError if it is not valid."""
    match value, column.kind:
        case (None | "", _):
            if not column.gaps:
                raise ValueError("must not be missing")
            return None
        case str(), Kind.CATEGORY:
            _check_word(column, value)
        case bool(), Kind.BOOLEAN:
            pass
        case (int() | float(), Kind.NUMBER | Kind.INTEGER) if not isinstance(value, bool):
            _check_number(column, value)
        case _:
            raise ValueError(f"must be a {column.kind}, not {shown(value)}")
    return value


def shown(value: object) -> str:
    """Return a value as an error shows it."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _check_word(column: Column, word: str) -> None:
    if len(word) > MAX_WORD:
        raise ValueError(f"must have at most {MAX_WORD} characters, not {len(word)}")
    if not column.unseen and word not in column.numbers:
        raise ValueError(f"must be a category that the model knows, not {shown(word)}")


def _check_number(column: Column, number: float) -> None:
    if not column.least <= number <= column.most:  # false for NaN, too
        raise ValueError(f"must be a number from {column.least:g} to {column.most:g}, not {shown(number)}")
    if column.kind is Kind.INTEGER and number % 1:
        raise ValueError(f"must be a whole number, not {shown(number)}")


def _plain(column: Column, text: str, decimal: str) -> str:
    """Return the text of a number with a point as its decimal mark, and without marks between thousands."""
    mark = column.decimal or decimal
    other = _OTHER_MARK[mark]
    if column.decimal and _GROUPED[mark].fullmatch(text):
        if mark != decimal and mark not in text and text.count(other) == 1:
            raise ValueError(f"may be two numbers: {shown(text)} has a mark for decimals or for thousands")
        text = text.replace(other, "")
    return text.replace(mark, ".", 1)


def _without_gap(text: str) -> str | None:
    return None if text in GAPS else text
