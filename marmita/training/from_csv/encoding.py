"""The rows of a file as a model takes them: one matrix of single-precision numbers, and the truths."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from marmita.contract.cells import parse
from marmita.contract.columns import UNSEEN, Cell, Column, Floats, Kind
from marmita.contract.training_order import TrainingErrorCode
from marmita.training.estimators.frame import Native, Table
from marmita.training.examples import Doubles, Examples, Mask, held_out
from marmita.training.from_csv.errors import CannotLearnError, short
from marmita.training.from_csv.reading import CsvFile
from marmita.training.from_csv.targets import Target

_MAX_KNOWN = 100_000
_WORD_BYTES = 6
"""So few that a double holds their number."""


class ColumnSource(NamedTuple):
    """Where the values of a column come from."""

    place: int
    """Its place in the file."""
    column: Column
    strict: bool
    """Whether a text that is no value is an error. It is a gap otherwise."""


class Encoded(NamedTuple):
    """The rows of a file that have a truth."""

    columns: list[Column]
    examples: Examples[np.float64]
    without_truth: int
    """The number of rows that were left out as they have no truth."""


def encode(file: CsvFile, sources: Sequence[ColumnSource], target: Target, target_place: int, rows: int) -> Encoded:
    """Read a file of so many rows."""
    matrix = np.empty((rows, len(sources)), np.float32)
    truths = np.empty(rows, np.float64)
    mask = np.empty(rows, np.bool_)
    readers = [_Reader(source, file.decimal) for source in sources]
    stable = _StableRows([source.column for source in sources])
    filled = 0
    for lines, columns in file.blocks():
        block = np.array([*map(target.read, columns[target_place], lines)], np.float64)
        known = ~np.isnan(block)
        part = slice(filled, filled := filled + int(np.count_nonzero(known)))
        truths[part] = block[known]
        for place, reader in enumerate(readers):
            matrix[part, place] = reader(columns[reader.source.place], lines)[known]
        mask[part] = held_out(stable(matrix[part]))
    matrix, truths, mask = matrix[:filled], truths[:filled], mask[:filled]
    return Encoded(
        columns=[_described(source.column, values) for source, values in zip(sources, matrix.T, strict=True)],
        examples=Examples(
            features=matrix,
            truths=truths,
            held_out=mask,
            source=file.path.name,
            licence="",
            fingerprint=hashlib.sha256(matrix.tobytes() + truths.tobytes()).hexdigest(),
        ),
        without_truth=rows - filled,
    )


class _Reader:
    """The reader of a column's texts. Most texts are there more than once, and read once."""

    def __init__(self, source: ColumnSource, decimal: str) -> None:
        self.source = source
        self._decimal = decimal
        self._known: dict[str, float] = {}

    def __call__(self, texts: Sequence[str], lines: Sequence[int]) -> Doubles:
        known = self._known
        if len(known) > _MAX_KNOWN:
            known.clear()
        for text in dict.fromkeys(texts):
            if text not in known:
                known[text] = self._read(text, texts, lines)
        return np.fromiter(map(known.__getitem__, texts), np.float64, len(texts))

    def _read(self, text: str, texts: Sequence[str], lines: Sequence[int]) -> float:
        column = self.source.column
        try:
            cell = parse(column, text, self._decimal)
        except ValueError as error:
            if not self.source.strict:
                return np.nan
            line = lines[texts.index(text)]
            raise CannotLearnError(
                TrainingErrorCode.INVALID_VALUE,
                f"line {line}, {short(column.name)}: {error}",
                column=column.name,
                row=line,
                value=text,
            ) from None
        if column.kind is Kind.CATEGORY:
            return column.numbers.get(cell, UNSEEN)
        return np.nan if cell is None else float(cell)


class _StableRows:
    """The rows that decide which are held out: a word's number is its own there, whatever other words the file has."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._numbers = {
            place: np.array([UNSEEN, *map(_stable, column.categories)])
            for place, column in enumerate(columns)
            if column.kind is Kind.CATEGORY
        }

    def __call__(self, rows: Floats) -> Doubles:
        stable = rows.astype(np.float64)
        for place, numbers in self._numbers.items():
            values = stable[:, place]
            is_word = ~np.isnan(values)
            values[is_word] = numbers[values[is_word].astype(np.intp) + 1]
        return stable


def _stable(word: str) -> float:
    return float(int.from_bytes(hashlib.blake2b(word.encode(), digest_size=_WORD_BYTES).digest(), "big"))


def _described(column: Column, values: Floats) -> Column:
    """Return a column with what its values show: whether they have gaps, and an example."""
    present = values[~np.isnan(values)]
    return replace(column, gaps=len(present) < len(values), example=_example(column, present))


def _example(column: Column, present: Floats) -> Cell:
    """Return the value in the middle, or the most frequent word."""
    known = present[present != UNSEEN] if column.kind is Kind.CATEGORY else present
    if not len(known):
        return next(iter(column.categories), None)
    if column.kind is Kind.CATEGORY:
        return column.categories[int(np.bincount(known.astype(np.intp)).argmax())]
    middle = np.partition(known, len(known) // 2)[len(known) // 2]
    match column.kind:
        case Kind.BOOLEAN:
            return bool(middle)
        case Kind.INTEGER:
            return int(middle)
        case _:
            return float(str(middle))  # the shortest number that is the same in single precision


def table_of(columns: Sequence[Column]) -> Table:
    """Return the table that estimators get: numbers in double precision and words, with NaN for a gap."""
    types = (object if column.kind is Kind.CATEGORY else np.float64 for column in columns)
    natives = (Native(column.name, np.dtype(kind)) for column, kind in zip(columns, types, strict=True))
    return Table(tuple(columns), tuple(natives), is_array=False)


def usable(examples: Examples[np.float64]) -> Mask:
    """Return the mask of the columns that have more than one value, be it a gap, in the rows with a truth."""
    rows = examples.features
    first = rows[0]
    varies: Mask = np.any((rows != first) & ~(np.isnan(rows) & np.isnan(first)), axis=0)
    return varies
