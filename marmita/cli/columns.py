"""The plan of a new model, derived from the columns of a CSV.

The standard library reads the file: pandas is slow to import.
"""

import csv
import keyword
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marmita.contract.csv_dialect import delimiter_of
from marmita.contract.rows import Row

MOST_CLASSES = 100
FEW_VALUES = 10
"""A target of whole numbers with at most this number of distinct values may hold classes."""

_MOST = 3.4e38
"""The largest number that single precision holds."""
_LONGEST_NAME = 40
_ANSWER_FIELDS = frozenset({"probabilities", "interval", "unusual", "model", "id", "low", "high"})
_NO_FEATURE = frozenset({*keyword.kwlist, *dir(Row), "l"})


@dataclass(frozen=True)
class Column:
    """A feature of the new model."""

    name: str
    header: str
    """The name of its column in the file."""
    unit: str
    low: float
    high: float
    example: float


@dataclass(frozen=True)
class Plan:
    """The content of the two files of a new model."""

    model: str
    columns: Sequence[Column]
    target: str
    target_header: str
    classes: Sequence[str]
    """Empty for a regressor."""
    bounds: tuple[float, float]
    """The least and the greatest value of a regressor's labels."""
    delimiter: str
    left_out: Sequence[str] = ()
    """Descriptions of the columns that are no features."""


@dataclass(frozen=True)
class DataSet:
    """The columns and rows of a CSV, as text."""

    file: Path
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    """The line of each row in the file."""
    delimiter: str

    @classmethod
    def read(cls, file: Path) -> "DataSet":
        try:
            with file.open(encoding="utf-8-sig", newline="") as text:
                delimiter = delimiter_of(next(text, ""))
                text.seek(0)
                reader = csv.reader(text, delimiter=delimiter)
                numbered = [(reader.line_num, row) for row in reader if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{file} can't be read as a CSV in UTF-8: {error}") from None
        if len(numbered) < 2:
            raise ValueError(f"{file} has no rows: it must have a line of column names, and rows below it")
        (_, headers), *rows = numbered
        for line, row in rows:
            if len(row) != len(headers):
                raise ValueError(f"{file}, line {line}: {len(row)} columns, and the first line has {len(headers)}")
        if doubled := {header for header in headers if header and headers.count(header) > 1}:
            raise ValueError(f"{file} has the column {min(doubled)} twice")
        return cls(file, headers, [row for _, row in rows], [line for line, _ in rows], delimiter)

    def column(self, header: str) -> list[str]:
        place = self.headers.index(header)
        return [row[place] for row in self.rows]

    def named(self, name: str) -> str:
        """Return the header with this name, spaces around it aside."""
        found = next((header for header in self.headers if header.strip() == name.strip()), "")
        if not found:
            raise ValueError(f"{self.file} has no column {name}: it has {', '.join(filter(None, self.headers))}")
        return found

    def numbers(self, header: str) -> list[float]:
        values = self.column(header)
        for line, value in zip(self.lines, values, strict=True):
            if not is_number(value):
                what = f"is {value!r}, not a number" if value.strip() else "is empty"
                raise ValueError(f"{self.file}, line {line}: the column {header} {what}")
        return [float(value) for value in values]

    def numbers_rows(self, header: str) -> bool:
        """Return whether a column only identifies rows: it numbers them, or its name says that it is an id."""
        values = self.column(header)
        if len(set(values)) < len(values) or not all(map(is_number, values)):
            return False
        numbers = [float(value) for value in values]
        is_sequence = any(numbers == [*range(first, first + len(numbers))] for first in (0, 1))
        is_named_id = re.fullmatch(r"(.*[^a-z])?(id|index)", header.strip().casefold()) is not None
        return is_sequence or (is_named_id and all(number.is_integer() for number in numbers))

    def guess(self, target: str) -> tuple[str, bool]:
        """Return the kind of model that fits a target, and whether that is certain."""
        values = set(self.column(target))
        if not all(map(is_number, values)):
            return "classifier", True
        whole = all(float(value).is_integer() for value in values)
        return "regressor", not (whole and len(values) <= FEW_VALUES)


def plan(model: str, data: DataSet, target: str, kind: str, drop: Sequence[str], units: Mapping[str, str]) -> Plan:
    """Derive the plan of a model from a data set. `target` is one of its headers."""
    dropped = {target, *map(data.named, drop)}
    units = {data.named(name): unit for name, unit in units.items()}
    named = [header for header in data.headers if header and header not in dropped]
    features = [header for header in named if not data.numbers_rows(header)] or named
    if not features:
        raise ValueError("no column is left to predict from")
    columns = [_column(data, header, units.get(header, "1")) for header in features]
    names = [column.name for column in columns]
    if doubled := [column for column in columns if names.count(column.name) > 1]:
        first, second, *_ = doubled
        raise ValueError(
            f"the columns {first.header} and {second.header} would both be called {first.name}: rename one"
        )
    classes = _classes(data, target) if kind == "classifier" else []
    return Plan(
        model=model,
        columns=columns,
        target=_identifier(target, _ANSWER_FIELDS),
        target_header=target,
        classes=classes,
        bounds=(0.0, 0.0) if classes else _bounds(data.numbers(target)),
        delimiter=data.delimiter,
        left_out=[
            *(["a column without a name"] if "" in data.headers else []),
            *(f"the column {header}, which numbers the rows" for header in named if header not in features),
        ],
    )


def is_number(text: str) -> bool:
    try:
        return "_" not in text and abs(float(text)) < _MOST
    except ValueError:
        return False


def _column(data: DataSet, header: str, unit: str) -> Column:
    try:
        numbers = data.numbers(header)
    except ValueError as error:
        raise ValueError(f"{error}. Mend it, or leave the column out: --drop {header!r}") from None
    low, high = _bounds(numbers)
    return Column(_identifier(header, _NO_FEATURE), header, unit, low, high, numbers[0])


def _classes(data: DataSet, target: str) -> list[str]:
    values = data.column(target)
    for line, value in zip(data.lines, values, strict=True):
        if not value.strip() or value.startswith("_"):
            what = "begins with _" if value.strip() else "is empty"
            raise ValueError(f"{data.file}, line {line}: the class in the column {target} {what}")
    classes = set(values)
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise ValueError(f"the column {target} has {len(classes)} classes: a classifier has 2 to {MOST_CLASSES}")
    return sorted(classes, key=lambda value: (float(value), value) if is_number(value) else (math.inf, value))


def _bounds(numbers: Sequence[float]) -> tuple[float, float]:
    """Guess the bounds of possible values, with a wide margin around the values in the data."""
    low, high = min(numbers), max(numbers)
    margin = 2 * (high - low) or abs(high) or 1.0
    digits = -math.floor(math.log10(margin))
    step = 10.0**-digits
    down = round(math.floor((low - margin) / step) * step, digits)
    up = round(math.ceil((high + margin) / step) * step, digits)
    return (0.0 if low >= 0 else max(down, -_MOST)), min(up, _MOST)


def _identifier(header: str, taken: frozenset[str]) -> str:
    plain = unicodedata.normalize("NFKD", header.casefold()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain)[:_LONGEST_NAME].strip("_")
    return name if name[:1].isalpha() and name not in taken else f"column_{name}".rstrip("_")
