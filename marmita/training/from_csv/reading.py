"""CSV files, read in blocks, so that a file of any length takes little memory. All cells are texts."""

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from marmita.contract import csv_table
from marmita.contract.csv_dialect import COMPARED, Dialect, delimiter_of
from marmita.contract.csv_table import OTHERWISE
from marmita.contract.training_order import MAX_NAME, TrainingErrorCode
from marmita.training.from_csv.errors import CannotLearnError, short

MAX_ROWS = 2_000_000
MAX_COLUMNS = 1_000
MAX_CELLS = 50_000_000

_BLOCK_CELLS = 500_000
_MAX_BLOCK_ROWS = 5_000
_DECODED_AT_ONCE = 2**20


class Block(NamedTuple):
    """Some rows of a file."""

    lines: Sequence[int]
    """The line at which each row begins."""
    columns: Sequence[Sequence[str]]
    """The cells, column by column."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV file with a header."""

    path: Path
    encoding: str
    delimiter: str
    header: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> "CsvFile":
        """Find out how a file is written, and read its header."""
        encoding = _encoding(path)
        with path.open(encoding=encoding, newline="") as text:
            start = text.read(COMPARED + 1)
        if not start.strip():
            raise CannotLearnError(TrainingErrorCode.EMPTY_FILE, "the file is empty: its first line must be the header")
        file = cls(path, encoding, delimiter_of(start), ())
        with file._open() as text:
            _, header = next(file._records(text))
        _check_header(header)
        return cls(path, encoding, file.delimiter, tuple(header))

    @property
    def is_guessed(self) -> bool:
        """Whether the encoding is a guess, as the file is not in the one that it seems to be in."""
        return self.encoding == OTHERWISE

    @property
    def decimal(self) -> str:
        """The decimal mark of a file with this delimiter."""
        return csv_table.decimal_of(self.delimiter)

    def blocks(self) -> Iterator[Block]:
        """Yield the rows. Raise an error at the first one that has not as many cells as the header."""
        width = len(self.header)
        most = min(_MAX_BLOCK_ROWS, _BLOCK_CELLS // width + 1)
        lines: list[int] = []
        cells: list[str] = []
        count = 0
        with self._open() as text:
            records = self._records(text)
            next(records)
            for line, row in records:
                if len(row) != width:
                    raise CannotLearnError(
                        TrainingErrorCode.RAGGED_ROW,
                        f"line {line} has {len(row)} cells, and the header has {width}",
                        row=line,
                    )
                lines.append(line)
                cells += row  # keeping the rows, which are lists, would keep the garbage collector busy
                if len(lines) == most:
                    count += most
                    _check_size(count, width)
                    yield Block(lines, [cells[place::width] for place in range(width)])
                    lines, cells = [], []
        _check_size(count + len(lines), width)
        if lines:
            yield Block(lines, [cells[place::width] for place in range(width)])
        elif not count:
            raise CannotLearnError(TrainingErrorCode.NO_ROWS, "the file has no row but its header")

    def _open(self) -> IO[str]:
        return self.path.open(encoding=self.encoding, newline="")

    def _records(self, text: IO[str]) -> Iterator[tuple[int, list[str]]]:
        """Yield each record that is not empty, with the line at which it begins."""
        reader = csv.reader(text, Dialect, delimiter=self.delimiter)
        line = 1
        try:
            for record in reader:
                if record:
                    yield line, record
                line = reader.line_num + 1
        except csv.Error as error:
            raise CannotLearnError(
                TrainingErrorCode.INVALID_CSV, f"what begins on line {line} is not CSV: {error}", row=line
            ) from None


def _encoding(path: Path) -> str:
    """Return the encoding of a file that is a text in it."""
    with path.open("rb") as file:
        seeming = csv_table.encoding_of(file.read(4))
    return next(encoding for encoding in (seeming, OTHERWISE) if _is_text(path, encoding))


def _is_text(path: Path, encoding: str) -> bool:
    """Tell whether a file is a text in this encoding. Raise an error if it is not a text at all."""
    with path.open(encoding=encoding, newline="") as file:
        try:
            while text := file.read(_DECODED_AT_ONCE):
                if "\0" in text:
                    raise CannotLearnError(TrainingErrorCode.BINARY_FILE, "this is a binary file, not a CSV")
        except UnicodeError:
            return False
    return True


def _check_size(rows: int, width: int) -> None:
    if rows > MAX_ROWS:
        raise CannotLearnError(TrainingErrorCode.TOO_MANY_ROWS, f"there are more than {MAX_ROWS} rows")
    if rows * width > MAX_CELLS:
        raise CannotLearnError(
            TrainingErrorCode.TOO_MANY_CELLS,
            f"there are more than {MAX_CELLS} cells, which is {MAX_CELLS // width} rows of {width} columns",
        )


def _check_header(header: Sequence[str]) -> None:
    if len(header) > MAX_COLUMNS:
        raise CannotLearnError(
            TrainingErrorCode.TOO_MANY_COLUMNS, f"there are {len(header)} columns, more than {MAX_COLUMNS}", row=1
        )
    for place, name in enumerate(header, start=1):
        _check_name(place, name)
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        first, second = [place for place, name in enumerate(header, start=1) if name == twice[0]][:2]
        raise CannotLearnError(
            TrainingErrorCode.DUPLICATE_COLUMN_NAME,
            f"the columns {first} and {second} are both called {short(twice[0])!r}",
            column=twice[0],
            row=1,
        )


def _check_name(place: int, name: str) -> None:
    flaw = ""
    if len(name) > MAX_NAME:
        flaw = f"has {len(name)} characters, more than {MAX_NAME}"
    elif any(unicodedata.category(character) == "Cc" for character in name):
        flaw = "has a line break or another control character in it"
    if flaw:
        raise CannotLearnError(
            TrainingErrorCode.INVALID_COLUMN_NAME,
            f"the name of column {place}, {short(name)!r}, {flaw}",
            column=name,
            row=1,
        )
