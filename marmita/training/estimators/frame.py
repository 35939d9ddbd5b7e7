"""A notebook's table: its columns by kind, its rows as the packed model takes them, and as the estimator takes them."""

import hashlib
import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from marmita.contract.columns import MAX_WORD, UNSEEN, UNSEEN_WORD, Cell, Column, Floats, Kind
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.examples import Doubles, Mask, held_out

MOST_CATEGORIES = 3_000
LONGEST_NAME = 200

Values = list[npt.NDArray[Any]]
"""The values of each column: numbers in double precision with NaN for a gap, or words with None for a gap."""

_EXACT = 2.0**63
_KINDS = {
    "boolean": Kind.BOOLEAN,
    "integer": Kind.INTEGER,
    "floating": Kind.NUMBER,
    "mixed-integer-float": Kind.NUMBER,
    "decimal": Kind.NUMBER,
    "string": Kind.CATEGORY,
}
"""The kind of a column of objects, by what pandas finds in it."""


@dataclass(frozen=True)
class Native:
    """The form in which the estimator takes a column."""

    label: Hashable
    dtype: Any
    gap: Any = np.nan
    """What stands for a missing word: NaN, None or an empty word."""

    def series(self, kind: Kind, values: npt.NDArray[Any]) -> "pd.Series[Any]":
        """Return the values of a column as the estimator takes them. Whole numbers with gaps are no integers."""
        if kind is Kind.CATEGORY:
            values = np.where(pd.isna(values), self.gap, values)
            dtype = self._dtype_for(values)
        else:
            dtype = np.float64 if np.isnan(values).any() else self.dtype
        series: pd.Series[Any] = pd.Series(values, dtype=dtype)
        return series

    def _dtype_for(self, words: npt.NDArray[Any]) -> Any:
        """Return the column's own dtype. One of pandas' categories can't hold other words."""
        known = not isinstance(self.dtype, pd.CategoricalDtype) or pd.Series(words).dropna().isin(self.dtype.categories)
        return self.dtype if np.all(known) else np.dtype(object)


@dataclass(frozen=True)
class Table:
    """The columns of a table, with the categories of the training."""

    columns: tuple[Column, ...]
    natives: tuple[Native, ...]
    is_array: bool
    """Whether the estimator takes an array, and no DataFrame."""

    @classmethod
    def read(cls, given: Any) -> tuple["Table", Values]:
        """Return a table without categories, and its values. Numbers are rounded to single precision."""
        frame, is_array = _frame(given)
        names = _names(frame)
        kinds = [_kind(name, frame[label]) for name, label in zip(names, frame.columns, strict=True)]
        columns = tuple(Column(name, kind) for name, kind in zip(names, kinds, strict=True))
        values = _values(columns, frame)
        natives = (
            _native(column, frame[label], each)
            for column, label, each in zip(columns, frame.columns, values, strict=True)
        )
        return cls(columns, tuple(natives), is_array), values

    def read_more(self, given: Any) -> Values:
        """Return the values of another table with the same columns."""
        frame, _ = _frame(given)
        if (names := _names(frame)) != (mine := [column.name for column in self.columns]):
            odd = sorted(set(names) ^ set(mine)) or names
            raise CannotPackError(
                Problem.TABLE, f"the held-out rows have other columns than X, or another order: {', '.join(odd)}"
            )
        for column, label in zip(self.columns, frame.columns, strict=True):
            kind = _kind(column.name, frame[label])
            if (kind is Kind.CATEGORY) != (column.kind is Kind.CATEGORY) and frame[label].notna().any():
                raise CannotPackError(
                    Problem.COLUMN,
                    f"the column {column.name} has values of the kind {column.kind} in X, and {kind} in the "
                    "held-out rows",
                )
        return _values(self.columns, frame)

    def learn(self, values: Values) -> "Table":
        """Return the table with the categories and examples of these values."""
        learnt = [_learn(column, each) for column, each in zip(self.columns, values, strict=True)]
        return replace(self, columns=tuple(learnt))

    def native(self, values: Values) -> Any:
        """Return values as the estimator takes them."""
        series = {
            native.label: native.series(column.kind, each)
            for column, native, each in zip(self.columns, self.natives, values, strict=True)
        }
        frame = pd.DataFrame(series)
        return frame.to_numpy() if self.is_array else frame

    def encode(self, values: Values) -> Floats:
        """Return values as the packed model takes them."""
        encoded = [_encode(column, each) for column, each in zip(self.columns, values, strict=True)]
        return np.column_stack(encoded).astype(np.float32)

    def decode(self, rows: Floats, unseen: str = UNSEEN_WORD) -> Values:
        """Return the values of rows, with this word in the place of those that the training had not seen."""
        return [_decode(column, rows[:, place], unseen) for place, column in enumerate(self.columns)]

    def most_rounded(self, given: Any) -> str:
        """Return the name of the column that loses most to single precision, relative to its spread."""
        frame, _ = _frame(given)
        lost = {}
        for column, label in zip(self.columns, frame.columns, strict=True):
            if column.kind is not Kind.CATEGORY:
                exact = frame[label].to_numpy(dtype=np.float64, na_value=np.nan)
                loss = np.nanmax(np.abs(exact - exact.astype(np.float32)))
                lost[column.name] = loss / (np.nanstd(exact) or 1.0)
        return max(lost, key=lambda name: lost[name])


def held_out_rows(values: Values) -> Mask:
    """Return the mask of the rows that are held out from every training. It depends on their values only."""
    hashable = [_hashes(each) if each.dtype == object else each for each in values]
    return held_out(np.column_stack(hashable).astype(np.float64) + 0.0)


def at(values: Values, rows: Mask | npt.NDArray[np.intp]) -> Values:
    """Return the values of some rows."""
    return [each[rows] for each in values]


def _frame(given: Any) -> tuple[pd.DataFrame, bool]:
    """Return the table as a DataFrame, and whether it was an array."""
    if isinstance(given, pd.DataFrame):
        frame, is_array = given, False
    elif isinstance(given, np.ndarray) and given.ndim == 2:
        objects = given if given.dtype.kind in "biuf" else given.astype(object)
        frame = pd.DataFrame(objects, columns=[f"x{place}" for place in range(given.shape[1])]).infer_objects()
        is_array = True
    else:
        raise CannotPackError(
            Problem.TABLE, f"X must be a pandas DataFrame or a two-dimensional array: it is {type(given).__name__}"
        )
    if not len(frame.columns) or not len(frame):
        raise CannotPackError(Problem.TABLE, "X must have rows and columns")
    return frame, is_array


def _names(frame: pd.DataFrame) -> list[str]:
    names = [str(label) if isinstance(label, int | np.integer) else label for label in frame.columns]
    for name in names:
        check_text(Problem.TABLE, "a column's name", name)
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise CannotPackError(Problem.TABLE, f"X has the column {doubled} twice: rename one")
    return names


def check_text(problem: Problem, what: str, text: object) -> None:
    """Raise an error unless this is text that a contract can hold."""
    if not isinstance(text, str):
        raise CannotPackError(problem, f"{what} must be text: {text!r} is {type(text).__name__}")
    if not 1 <= len(text) <= LONGEST_NAME or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise CannotPackError(
            problem, f"{what} must have 1 to {LONGEST_NAME} characters and no control characters: {text[:50]!r}"
        )


def _kind(name: str, values: "pd.Series[Any]") -> Kind:
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        found = pd.api.types.infer_dtype(dtype.categories)
        kind = Kind.CATEGORY if found in ("string", "empty") else None
        found, mend = f"categories that are {found}", "turn them into words with .astype(str)"
    elif pd.api.types.is_bool_dtype(dtype):
        return Kind.BOOLEAN
    elif pd.api.types.is_integer_dtype(dtype):
        return Kind.INTEGER
    elif pd.api.types.is_float_dtype(dtype):
        return Kind.NUMBER
    else:
        found = pd.api.types.infer_dtype(values, skipna=True)
        kind = _KINDS.get(found)
        mend = "derive numbers from it, or drop it"
        if found == "empty":
            found, mend = "gaps only", "drop it"
    if kind is None:
        raise CannotPackError(
            Problem.COLUMN, f"the column {name} has {found}, and such columns are not supported: {mend}"
        )
    return kind


def _values(columns: Sequence[Column], frame: pd.DataFrame) -> Values:
    return [
        (_words if column.kind is Kind.CATEGORY else _numbers)(column, frame[label])
        for column, label in zip(columns, frame.columns, strict=True)
    ]


def _numbers(column: Column, values: "pd.Series[Any]") -> Doubles:
    """Return numbers rounded to single precision, as the packed model takes them."""
    exact = values.to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    if np.any(wrong := np.isinf(rounded)):
        _reject(column, values, wrong, "is infinite, or beyond what single precision holds")
    if column.kind is not Kind.NUMBER and np.any(wrong := ~np.isnan(exact) & (exact != np.round(exact))):
        _reject(column, values, wrong, "is no whole number, as the others are")
    if column.kind is Kind.INTEGER and np.any(rounded[~np.isnan(exact)] != exact[~np.isnan(exact)]):
        print(f"  the column {column.name} has more than seven digits, and is rounded to single precision")
    return rounded.astype(np.float64)


def _words(column: Column, values: "pd.Series[Any]") -> npt.NDArray[Any]:
    words = values.astype(object).to_numpy()
    gaps = np.array([missing or word == "" for missing, word in zip(values.isna(), words, strict=True)])
    found = np.array([None if gap else str(word) for gap, word in zip(gaps, words, strict=True)], dtype=object)
    if np.any(wrong := np.array([word is not None and not _is_word(word) for word in found])):
        _reject(column, values, wrong, f"is no category: it has more than {MAX_WORD} characters, or invalid ones")
    return found


def _is_word(word: str) -> bool:
    return len(word) <= MAX_WORD and not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in word)


def _reject(column: Column, values: "pd.Series[Any]", wrong: npt.NDArray[Any], why: str) -> None:
    place = int(np.flatnonzero(wrong)[0])
    value = repr(values.iloc[place])[:50]
    raise CannotPackError(Problem.VALUE, f"the column {column.name}, row {values.index[place]}: {value} {why}")


def _native(column: Column, values: "pd.Series[Any]", read: npt.NDArray[Any]) -> Native:
    if column.kind is Kind.CATEGORY:
        return Native(values.name, _dtype_of_words(values), _gap(values))
    whole = {Kind.INTEGER: np.int64, Kind.BOOLEAN: np.bool_}.get(column.kind, np.float64)
    fits = not np.isnan(read).any() and np.abs(read).max() < _EXACT
    return Native(values.name, np.dtype(whole if fits else np.float64))


def _dtype_of_words(values: "pd.Series[Any]") -> Any:
    """Return the dtype for an estimator. It has NaN for a gap, which estimators know, and not `pandas.NA`."""
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object:
        return values.dtype
    return pd.StringDtype(na_value=np.nan)


def _gap(values: "pd.Series[Any]") -> Any:
    missing = values[values.isna()]
    if len(missing):
        return None if missing.iloc[0] is None else np.nan
    return "" if (values == "").any() else np.nan


def _learn(column: Column, values: npt.NDArray[Any]) -> Column:
    known = values[~pd.isna(values)]
    if column.kind is not Kind.CATEGORY:
        example = plain(column.kind, known[0]) if len(known) else None
        return replace(column, example=example)
    categories = tuple(sorted(set(known)))
    if not categories:
        raise CannotPackError(Problem.COLUMN, f"the column {column.name} has gaps only in the training rows: drop it")
    if len(categories) > MOST_CATEGORIES:
        raise CannotPackError(
            Problem.COLUMN,
            f"the column {column.name} has {len(categories)} different words, which looks like text or an id: "
            f"at most {MOST_CATEGORIES} can be categories. Derive numbers from it, or drop it",
        )
    return replace(column, categories=categories, example=known[0])


def plain(kind: Kind, value: float) -> Cell:
    """Return a number as a value of its kind, in no more digits than single precision has."""
    match kind:
        case Kind.BOOLEAN:
            return bool(value)
        case Kind.INTEGER:
            return int(value)
        case _:
            return float(str(np.float32(value)))


def _encode(column: Column, values: npt.NDArray[Any]) -> Doubles:
    if column.kind is not Kind.CATEGORY:
        return values
    known = pd.Index(column.categories, dtype=object)
    places: Doubles = known.get_indexer(pd.Index(values, dtype=object)).astype(np.float64)
    places[pd.isna(values)] = np.nan
    return places


def _decode(column: Column, numbers: Floats, unseen: str) -> npt.NDArray[Any]:
    if column.kind is not Kind.CATEGORY:
        return numbers.astype(np.float64)
    words = np.array([*column.categories, unseen, None], dtype=object)
    places = np.where(numbers == UNSEEN, len(words) - 2, np.nan_to_num(numbers, nan=len(words) - 1))
    return words[places.astype(np.intp)]


def _hashes(words: npt.NDArray[Any]) -> Doubles:
    """Return a whole number for each word, the same in every table."""
    numbers = {word: _hash(word) for word in set(words) if word is not None}
    return np.array([np.nan if word is None else numbers[word] for word in words], dtype=np.float64)


def _hash(word: str) -> float:
    return float(int.from_bytes(hashlib.blake2b(word.encode(), digest_size=6).digest()))
