"""Tables in CSV: read with whatever delimiter and encoding they have, and written for people and spreadsheets."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.requests import MAX_ROWS

DELIMITERS = ",;\t|"
MAX_COLUMNS = 10_000
COMPARED = 2**16
"""The characters of a file that its delimiter is found from."""
OTHERWISE = "latin-1"
"""The encoding of files that are not in the one that they seem to be in: in Latin-1 every file is a text."""


class Dialect(csv.excel):
    """How cells are quoted and separated, but for the delimiter. Spaces after a delimiter are not part of a cell."""

    skipinitialspace = True


_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?", re.ASCII)


class CsvTable(NamedTuple):
    """A table in CSV: its header and its rows, all of them text."""

    header: list[str]
    rows: list[list[str]]
    delimiter: str

    @property
    def decimal(self) -> str:
        return decimal_of(self.delimiter)


def read(body: bytes, most_rows: int = MAX_ROWS) -> CsvTable:
    """Read a table whose first line is the header. Empty lines are skipped."""
    text = _decode(body)
    delimiter = delimiter_of(text)
    lines = _lines(text, delimiter)
    header = next(lines, None)
    if header is None:
        raise _invalid("the file is empty: its first line must be the header")
    _check_header(header)
    rows: list[list[str]] = []
    for row in lines:
        if len(rows) == most_rows:
            raise RequestError(ErrorCode.TOO_MANY_ITEMS, f"there are more than {most_rows} rows")
        rows.append(row)
    if not rows:
        raise _invalid("the file has no row but its header")
    return CsvTable(header, rows, delimiter)


def write(header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str) -> bytes:
    """Write a table. A text that a spreadsheet would run as a formula is escaped."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(map(_escape, header))
    writer.writerows(map(_escape, row) for row in rows)
    return out.getvalue().encode()


def delimiter_of(text: str) -> str:
    """Return the delimiter of a file, from its start: the one by which most lines are as wide as the first.

    If several are equally good, the one that gives the most columns.
    """
    start = text[:COMPARED]
    if len(start) < len(text):
        start = start.rpartition("\n")[0] or start
    return max(DELIMITERS, key=lambda one: _agreement(start, one))


def decimal_of(delimiter: str) -> str:
    """Return the decimal mark of a file. Files with a comma for it are separated by semicolons."""
    return "," if delimiter == ";" else "."


def encoding_of(start: bytes) -> str:
    """Return the encoding that a file's byte order mark names, or else UTF-8."""
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), "utf-8")


def _escape(value: object) -> object:
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _decode(body: bytes) -> str:
    """Return the text of a file in UTF-8 or UTF-16, or else in Latin-1, in which every file is a text."""
    try:
        text = body.decode(encoding_of(body))
    except UnicodeDecodeError:
        text = body.decode(OTHERWISE)
    if "\0" in text:
        raise _invalid("this is a binary file, not a CSV")
    return text


def _agreement(text: str, delimiter: str) -> tuple[float, int]:
    """Return the share of lines that are as wide as the first, if that has several columns, and its width."""
    try:
        widths = [len(row) for row in csv.reader(io.StringIO(text, newline=""), Dialect, delimiter=delimiter) if row]
    except csv.Error:
        return 0.0, 0
    first = widths[0] if widths else 0
    return (widths.count(first) / len(widths) if first > 1 else 0.0), first


def _lines(text: str, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), Dialect, delimiter=delimiter)
    try:
        yield from (line for line in reader if line)
    except csv.Error as error:
        raise _invalid(f"line {reader.line_num} is not CSV: {error}") from None


def _check_header(header: Sequence[str]) -> None:
    if len(header) > MAX_COLUMNS:
        raise RequestError(ErrorCode.TOO_MANY_ITEMS, f"there are {len(header)} columns, more than {MAX_COLUMNS}")
    seen: set[str] = set()
    for name in header:
        if name in seen:
            raise _invalid(f"two columns are called {name!r}")
        seen.add(name)


def _invalid(error: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, error)
