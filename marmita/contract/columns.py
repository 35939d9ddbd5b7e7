"""Columns: the kinds of a table's columns, and how a value of each becomes a number in the model's input.

Every input is one matrix of single-precision numbers. A category is its place among the categories of the training, a
word that the training had not seen is `UNSEEN`, and a gap is NaN. So rows are batched, recorded and compared in one
way, whatever they hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

UNSEEN = -1.0
"""The number of a category that the training had not seen."""
UNSEEN_WORD = "\0"
"""The word for a category that the training had not seen, where the word itself is unknown. No contract has it."""
LARGEST = float(np.finfo(np.float32).max)
"""The largest number that a model's input can hold."""
MAX_WORD = 1_000
"""The most characters of a category."""

Floats = npt.NDArray[np.float32]
Cell = float | bool | str | None
"""A value of a row in a request. None is a gap."""


class Kind(StrEnum):
    """The kind of a column's values."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"


class _Numbers(dict[Cell, float]):
    """The number of each word: that of any other word is `UNSEEN`."""

    def __missing__(self, word: Cell) -> float:
        return UNSEEN


@dataclass(frozen=True)
class Column:
    """One column of a table: its values, and what the model does with a gap and with a word that it has not seen."""

    name: str
    kind: Kind = Kind.NUMBER
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    description: str = ""
    categories: tuple[str, ...] = ()
    gaps: bool = False
    """Whether a value may be missing."""
    unseen: bool = False
    """Whether a category may be one that the training had not seen."""
    example: Cell = None
    decimal: str = ""
    """The decimal mark of the training's texts, if they had one other than a point, or marks between thousands."""

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Column":
        """Return the column that a contract describes."""
        known = {key: described[key] for key in cls.__dataclass_fields__ if key in described}
        known["kind"] = Kind(known.get("kind", Kind.NUMBER))
        known["categories"] = tuple(known.get("categories", ()))
        return cls(**known)

    @property
    def least(self) -> float:
        return -LARGEST if self.low is None else float(self.low)

    @property
    def most(self) -> float:
        return LARGEST if self.high is None else float(self.high)

    @property
    def words(self) -> tuple[str, ...]:
        """The valid words of a column without unseen ones. An empty word is a gap."""
        return (*self.categories, "") if self.gaps else self.categories

    @cached_property
    def numbers(self) -> "_Numbers":
        """The number of each category."""
        numbers = _Numbers({None: np.nan, "": np.nan})
        numbers.update({word: float(place) for place, word in enumerate(self.categories)})
        return numbers

    def encode(self, values: Sequence[Cell]) -> Floats:
        """Return the numbers of valid values."""
        if self.kind is Kind.CATEGORY:
            return np.array([*map(self.numbers.__getitem__, values)], np.float32)
        return np.array(values, np.float32)  # None becomes NaN

    def decode(self, values: Sequence[float]) -> list[Cell]:
        """Return the values of numbers."""
        return [None if isnan(value) else self._decoded(value) for value in values]

    def _decoded(self, value: float) -> Cell:
        match self.kind:
            case Kind.CATEGORY:
                return self.categories[int(value)] if value != UNSEEN else UNSEEN_WORD
            case Kind.BOOLEAN:
                return bool(value)
            case Kind.INTEGER:
                return int(value)
            case Kind.NUMBER:
                return value


def columns_of(contract: Mapping[str, Any]) -> list[Column]:
    """Return the columns of a contract, in the model's order."""
    return [Column.of(one) for one in contract["features"]]


def encoder(columns: Sequence[Column]) -> Callable[[Sequence[Sequence[Cell]]], Floats]:
    """Return the function that turns columns of valid values into the input of a model."""

    def encode(values: Sequence[Sequence[Cell]]) -> Floats:
        encoded = np.empty((len(values[0]), len(columns)), np.float32)
        for place, (column, each) in enumerate(zip(columns, values, strict=True)):
            encoded[:, place] = column.encode(each)
        return encoded

    return encode


def translate(rows: Floats, given: Sequence[Column], wanted: Sequence[Column]) -> Floats:
    """Return rows of one contract as rows of another one with the same columns, whose categories may differ."""
    places = {column.name: place for place, column in enumerate(given)}
    values = {name: given[place].decode(rows[:, place].tolist()) for name, place in places.items()}
    return encoder(wanted)([values[column.name] for column in wanted])
