"""Profiles of columns: what one pass over the texts of a column finds out about them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from marmita.contract.cells import GAPS

MAX_COUNTED = 50_000
"""The most distinct texts of a column that are counted. Of more, the rare ones are forgotten."""

_MAX_EXAMPLES = 3


class Shape(StrEnum):
    """What a text looks like."""

    CODE = "code"
    """Digits that begin with a zero: a number would lose it."""
    INTEGER = "integer"
    POINT_3 = "point_3"
    """One point before three digits, which may be a decimal mark or a mark between thousands."""
    COMMA_3 = "comma_3"
    """The same with a comma."""
    THOUSANDS_BY_POINT = "thousands_by_point"
    THOUSANDS_BY_COMMA = "thousands_by_comma"
    POINT = "point"
    """A number with a decimal point or an exponent."""
    COMMA = "comma"
    """A number with a decimal comma."""
    DATE = "date"
    BOOLEAN = "boolean"
    OTHER = "other"


NUMBERS = frozenset(Shape) - {Shape.CODE, Shape.DATE, Shape.BOOLEAN, Shape.OTHER}

_SHAPES = re.compile(
    r"""
    (?P<code>[+-]?0\d+)
    |(?P<integer>[+-]?\d{1,39})
    |(?P<point_3>[+-]?[1-9]\d{0,2}\.\d{3})
    |(?P<comma_3>[+-]?[1-9]\d{0,2},\d{3})
    |(?P<thousands_by_point>[+-]?\d{1,3}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,}))
    |(?P<thousands_by_comma>[+-]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,}))
    |(?P<point>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)
    |(?P<comma>[+-]?(?:\d+,\d*|,\d+)(?:e[+-]?\d+)?)
    |(?P<date>(?:
        \d{4}[-/.]\d{1,2}[-/.]\d{1,2} | \d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})
        | \d{1,2}[ -][a-z]{3,9}[ -,]+\d{2,4} | [a-z]{3,9}[ ]\d{1,2},?[ ]\d{4}
        )(?:[T ,]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:[ ]?[ap]\.?m\.?)?[ ]?(?:Z|UTC|[+-]\d{2}:?\d{2})?)?)
    |(?P<boolean>true|false|yes|no|[tfyn])
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)


def shape_of(text: str) -> Shape:
    """Return the shape of a text without spaces around it."""
    found = _SHAPES.fullmatch(text)
    return Shape(str(found.lastgroup)) if found else Shape.OTHER


@dataclass
class ColumnProfile:
    """What is known about the texts of a column so far. Spaces around texts do not count."""

    name: str
    rows: int = 0
    gaps: int = 0
    characters: int = 0
    shapes: Counter[Shape] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    """The number of times of each distinct text."""
    examples: list[str] = field(default_factory=list)
    first: dict[Shape, tuple[str, int]] = field(default_factory=dict)
    """The first text of each shape, with its line."""
    counts_up: bool = True
    """Whether each value is the one before it and one, as row numbers are."""
    low: int = 0
    high: int = 0
    """The range of the whole numbers."""
    _last: int | None = None
    _hashes: list[npt.NDArray[np.int64]] = field(default_factory=list)
    """The hashes of the distinct texts of each block, once there are too many texts to be counted."""

    @property
    def values(self) -> int:
        """The number of cells that are not gaps."""
        return self.rows - self.gaps

    @property
    def distinct(self) -> int:
        """The number of distinct texts."""
        if not self._hashes:
            return len(self.words)
        self._hashes = [np.unique(np.concatenate(self._hashes))]
        return len(self._hashes[0])

    @property
    def numbers(self) -> int:
        """The number of texts that are numbers."""
        return sum(self.shapes[shape] for shape in NUMBERS)

    @property
    def mean_length(self) -> float:
        return self.characters / self.values if self.values else 0.0

    @property
    def counts_all(self) -> bool:
        """Whether all distinct texts are counted."""
        return not self._hashes

    def add(self, texts: Sequence[str], lines: Sequence[int]) -> None:
        """Add the cells of some rows."""
        counted = Counter(text.strip() for text in texts)
        self.rows += len(texts)
        self.gaps += sum(counted.pop(gap, 0) for gap in GAPS)
        for text, count in counted.items():
            shape = shape_of(text)
            self.shapes[shape] += count
            self.characters += len(text) * count
            if shape not in self.first:
                self.first[shape] = text, _line(text, texts, lines)
        self._count(counted)
        self._follow(texts)

    def _count(self, counted: Mapping[str, int]) -> None:
        if len(self.examples) < _MAX_EXAMPLES:
            new = [text for text in counted if text not in self.examples]
            self.examples += new[: _MAX_EXAMPLES - len(self.examples)]
        if self._hashes:
            self._hashes.append(_hash(counted))
        self.words.update(counted)
        if len(self.words) > MAX_COUNTED:
            if not self._hashes:
                self._hashes.append(_hash(self.words))
            self.words = Counter(dict(self.words.most_common(MAX_COUNTED // 2)))

    def _follow(self, texts: Sequence[str]) -> None:
        """Find out whether the column numbers the rows, and the range of its whole numbers."""
        if set(self.shapes) != {Shape.INTEGER}:
            self.counts_up = False
            return
        numbers = [int(text) for text in texts if text.strip() not in GAPS]
        if not numbers:
            return
        before = [] if self._last is None else [self._last]
        self.counts_up = self.counts_up and all(b - a == 1 for a, b in pairwise([*before, *numbers]))
        seen = [] if self._last is None else [self.low, self.high]
        self.low, self.high = min([*seen, *numbers]), max([*seen, *numbers])
        self._last = numbers[-1]


def profile(
    header: Iterable[str], blocks: Iterable[tuple[Sequence[int], Sequence[Sequence[str]]]]
) -> list[ColumnProfile]:
    """Return the profile of each column."""
    profiles = [ColumnProfile(name) for name in header]
    for lines, columns in blocks:
        for each, texts in zip(profiles, columns, strict=True):
            each.add(texts, lines)
    return profiles


def _line(text: str, texts: Sequence[str], lines: Sequence[int]) -> int:
    return next(line for other, line in zip(texts, lines, strict=True) if other.strip() == text)


def _hash(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(hash, texts), np.int64)
