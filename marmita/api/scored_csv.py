"""Tables in CSV for a model: their columns found by name, their cells parsed, and the answers written beside them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from marmita.contract import csv_table
from marmita.contract.cells import parse, shown
from marmita.contract.columns import Cell, Column
from marmita.contract.csv_table import CsvTable
from marmita.contract.errors import ErrorCode, RequestError

_MAX_NAMED = 10
"""The most columns that an error names."""
_MAX_DETAILS = 20

Answers = Sequence[Mapping[str, Any] | str]
"""The answer to each row, or the row's error."""


class CsvRows(NamedTuple):
    """The rows of a table for a model."""

    columns: list[list[Cell]]
    """The cells of the valid rows, column by column."""
    errors: list[str]
    """The error of each row of the table; empty for a valid one."""

    @classmethod
    def read(
        cls, table: CsvTable, columns: Sequence[Column], *, ignore_extra: bool, dropped: Collection[str] = ()
    ) -> "CsvRows":
        """Find the columns by name, and parse their cells. Dropped columns count as missing."""
        places = _places(table.header, columns, dropped, ignore_extra=ignore_extra)
        parsed = [_parse(row, table, columns, places) for row in table.rows]
        valid = [row for row in parsed if not isinstance(row, str)]
        return cls(
            [list(cells) for cells in zip(*valid, strict=True)], [r if isinstance(r, str) else "" for r in parsed]
        )

    @property
    def valid(self) -> bool:
        """Whether there is a valid row."""
        return bool(self.columns)

    def check(self) -> None:
        """Raise if a row is not valid."""
        found = [(place, error) for place, error in enumerate(self.errors) if error]
        if found:
            detail: list[Mapping[str, Any]] = [
                {"loc": ["rows", place], "msg": error, "type": "csv_row"} for place, error in found[:_MAX_DETAILS]
            ]
            more = f" (and {len(found) - 1} more rows)" if len(found) > 1 else ""
            raise RequestError(ErrorCode.INVALID_REQUEST, f"rows[{found[0][0]}]: {found[0][1]}{more}", detail)


def write_scored(
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    answers: Answers,
    answer_columns: Sequence[str],
    answer_cells: Callable[[Any], Sequence[object]],
    delimiter: str,
) -> bytes:
    """Write the rows as they came, each with its answer or its error beside it."""
    added = [_free(name, header) for name in (*answer_columns, "unusual", "model", "id", "error")]
    none = [""] * (len(added) - 1)

    def cells(answer: Mapping[str, Any] | str) -> list[object]:
        if isinstance(answer, str):
            return [*none, answer]
        return [*answer_cells(answer), "; ".join(answer["unusual"]), answer["model"], answer.get("id", ""), ""]

    def lines() -> Iterator[list[object]]:
        for row, answer in zip(rows, answers, strict=True):
            given = [cell for cell, _ in zip_longest(row[: len(header)], header, fillvalue="")]
            yield [*given, *cells(answer)]

    return csv_table.write([*header, *added], lines(), delimiter)


def _places(
    header: Sequence[str], columns: Sequence[Column], dropped: Collection[str], *, ignore_extra: bool
) -> list[int | None]:
    """Return the place of each column in the header, or None for one that may be missing and is."""
    found = {name: place for place, name in enumerate(header) if name not in dropped}
    needed = {column.name for column in columns}
    if missing := [column.name for column in columns if column.name not in found and not column.gaps]:
        raise _invalid("these columns are missing", missing)
    if not ignore_extra and (extra := [name for name in header if name not in needed]):
        raise _invalid("the model has no such columns (?extra=ignore leaves them out)", extra)
    return [found.get(column.name) for column in columns]


def _parse(
    row: Sequence[str], table: CsvTable, columns: Sequence[Column], places: Sequence[int | None]
) -> list[Cell] | str:
    if len(row) != len(table.header):
        return f"the row has {len(row)} cells, and the header {len(table.header)}"
    cells = []
    for column, place in zip(columns, places, strict=True):
        try:
            cells.append(parse(column, row[place] if place is not None else "", table.decimal))
        except ValueError as error:
            return f"{_short(column.name)}: {error}"
    return cells


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _invalid(what: str, names: Sequence[str]) -> RequestError:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    detail: list[Mapping[str, Any]] = [
        {"loc": [_short(name)], "msg": what, "type": "csv_column"} for name in names[:_MAX_NAMED]
    ]
    return RequestError(ErrorCode.INVALID_REQUEST, f"{what}: {', '.join(map(shown, names[:_MAX_NAMED]))}{more}", detail)


def _short(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:99]}…"
