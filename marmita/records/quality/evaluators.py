"""Evaluators: each reads one model's records, with the figures to watch for drift, the valid labels and the scores."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
"""Inputs or outputs of a model, row by row."""
Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

HIGHEST_VALUE = float(np.finfo(np.float32).max)
"""The greatest number that a model can return."""
VALUE = "value"
"""The name of a table model's predicted number."""
ALL = "all"
"""The part of a score over all rows, classes or days."""


class Score(NamedTuple):
    """One score of a model. The part is a class, a day of the path, or `ALL`."""

    score: str
    part: str
    value: float | None
    """None if no labelled row has a bearing on it."""


class Dependence(NamedTuple):
    """The correlation between the values of one figure, which reduces the effective sample size."""

    alike: float
    """The correlation between any two new values."""
    spell: float
    """The number of consecutive values in the reference that are correlated."""

    def worth(self, now: int, then: int) -> tuple[float, float]:
        """Return the effective sample sizes of the new values and of the reference."""
        return now / (1 + (now - 1) * self.alike), then / self.spell


INDEPENDENT = Dependence(alike=0, spell=1)


class LabelledAnswers(NamedTuple):
    """Inputs and outputs of rows with their truths: rows by steps, NaN where the truth is unknown."""

    rows: Floats
    outputs: Floats
    truths: Doubles

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.truths)

    def at(self, rows: Places) -> "LabelledAnswers":
        """Return the answers to these rows."""
        return LabelledAnswers(self.rows[rows], self.outputs[rows], self.truths[rows])


class Evaluator(ABC):
    """The base class of evaluators, each for the records of one model."""

    model: str
    first_step: int = 0
    """The number of a label's first step: 0 if a row has one truth, 1 if it has one for each day."""

    @property
    def steps(self) -> int:
        """Return the number of truths of a row."""
        return 1

    @property
    @abstractmethod
    def width(self) -> int:
        """Return the number of inputs of a row."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Return the number of outputs of a row."""

    @abstractmethod
    def inputs(self, rows: Floats) -> dict[str, Doubles]:
        """Return the figures of the inputs to watch for drift, by their names in the reference statistics.

        Gaps are left out.
        """

    @abstractmethod
    def predictions(self, rows: Floats, outputs: Floats) -> dict[str, Doubles]:
        """Return the figures of the outputs to watch for drift, by their names in the reference statistics."""

    @abstractmethod
    def read(self, truth: object) -> list[tuple[int, float]]:
        """Parse a label from a client into steps and values. Raise a ValueError if it is invalid."""

    @abstractmethod
    def score(self, answered: LabelledAnswers) -> list[Score]:
        """Return the scores of labelled answers."""

    @abstractmethod
    def error_ratio(self, answered: LabelledAnswers, held_out: Mapping[str, Any]) -> float | None:
        """Return the error as a multiple of the error on held-out rows, which the model's card has."""

    def confusion(self, answered: LabelledAnswers) -> list[list[int]] | None:  # noqa: ARG002
        """Return labelled rows by true class (line) and predicted class (column), or None without classes."""
        return None

    def independent(self, rows: Floats) -> Places:
        """Return the places of distinct rows, as a repeated request adds no information."""
        last_place = dict(zip(keys(rows), range(len(rows)), strict=True))
        return np.fromiter(last_place.values(), dtype=np.intp)

    def dependence(self, name: str) -> Dependence:  # noqa: ARG002
        """Return the dependence between the values of the watched figure with this name."""
        return INDEPENDENT


@dataclass(frozen=True)
class ClassEvaluator(Evaluator):
    """The evaluator of a model that returns the probability of each class."""

    model: str
    features: Sequence[str]
    classes: Sequence[str]

    @property
    def width(self) -> int:
        return len(self.features)

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def inputs(self, rows: Floats) -> dict[str, Doubles]:
        return {name: values[~np.isnan(values)] for name, values in _columns(self.features, rows).items()}

    def predictions(self, rows: Floats, outputs: Floats) -> dict[str, Doubles]:  # noqa: ARG002
        return _columns(self.classes, outputs)

    def read(self, truth: object) -> list[tuple[int, float]]:
        if not isinstance(truth, str) or truth not in self.classes:
            raise ValueError(f"must be one of {', '.join(self.classes)}")
        return [(0, float(self.classes.index(truth)))]

    def score(self, answered: LabelledAnswers) -> list[Score]:
        counts = self._counts(answered)
        right, predicted, true = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
        scores = [Score("accuracy", ALL, ratio(right.sum(), counts.sum()))]
        for place, name in enumerate(self.classes):
            scores.append(Score("precision", name, ratio(right[place], predicted[place])))
            scores.append(Score("recall", name, ratio(right[place], true[place])))
        return scores

    def error_ratio(self, answered: LabelledAnswers, held_out: Mapping[str, Any]) -> float | None:
        return ratio(_share_wrong(self._counts(answered)), _share_wrong(np.asarray(held_out["confusion"])))

    def confusion(self, answered: LabelledAnswers) -> list[list[int]] | None:
        counts: list[list[int]] = self._counts(answered).tolist()
        return counts

    def _counts(self, answered: LabelledAnswers) -> Places:
        known = answered.known[:, 0]
        true, predicted = answered.truths[known, 0].astype(np.intp), answered.outputs[known].argmax(axis=1)
        size = len(self.classes)
        return np.bincount(true * size + predicted, minlength=size * size).reshape(size, size)


@dataclass(frozen=True)
class ValueEvaluator(Evaluator):
    """The evaluator of a model that returns a number with the two ends of its interval."""

    model: str
    features: Sequence[str]
    target: str
    low: float
    high: float

    @property
    def width(self) -> int:
        return len(self.features)

    @property
    def outputs(self) -> int:
        return 3

    def inputs(self, rows: Floats) -> dict[str, Doubles]:
        return {name: values[~np.isnan(values)] for name, values in _columns(self.features, rows).items()}

    def predictions(self, rows: Floats, outputs: Floats) -> dict[str, Doubles]:  # noqa: ARG002
        return _columns([self.target], outputs[:, :1])

    def read(self, truth: object) -> list[tuple[int, float]]:
        if not is_number(truth) or not self.low <= truth <= self.high:
            raise ValueError(f"must be a number from {self.low:g} to {self.high:g}")
        return [(0, float(truth))]

    def score(self, answered: LabelledAnswers) -> list[Score]:
        return interval_scores(answered.outputs.astype(np.float64)[:, :, np.newaxis], answered.truths, ALL)

    def error_ratio(self, answered: LabelledAnswers, held_out: Mapping[str, Any]) -> float | None:
        errors = np.abs(answered.outputs[:, :1] - answered.truths)
        return ratio(mean(errors[answered.known]), float(held_out["mae"]))


def table_evaluator(model: str, contract: Mapping[str, Any]) -> Evaluator:
    """Return the evaluator of a table model, from its contract."""
    features = [feature["name"] for feature in contract["features"]]
    if "classes" in contract:
        return ClassEvaluator(model, features, contract["classes"])
    return ValueEvaluator(model, features, VALUE, -HIGHEST_VALUE, HIGHEST_VALUE)


def keys(rows: npt.NDArray[Any]) -> list[bytes]:
    """Return each row as bytes, to compare rows by."""
    whole = np.ascontiguousarray(rows)
    keys: list[bytes] = whole.view(f"V{whole.shape[1] * whole.itemsize}").ravel().tolist()
    return keys


def interval_scores(answers: Doubles, truths: Doubles, part: str) -> list[Score]:
    """Return the scores of answers (rows by value, low and high by steps) with a known truth."""
    known = ~np.isnan(truths)
    value, low, high, truth = answers[:, 0][known], answers[:, 1][known], answers[:, 2][known], truths[known]
    errors = value - truth
    return [
        Score("mae", part, mean(np.abs(errors))),
        Score("mse", part, mean(errors**2)),
        Score("coverage", part, mean((low <= truth) & (truth <= high))),
    ]


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a JSON number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def mean(values: npt.NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def ratio(part: float | None, whole: float | None) -> float | None:
    """Return the ratio, or None if a value is unknown or the whole is zero."""
    return float(part / whole) if part is not None and whole else None


def _columns(names: Sequence[str], rows: Floats) -> dict[str, Doubles]:
    return dict(zip(names, rows.T.astype(np.float64), strict=True))


def _share_wrong(counts: npt.NDArray[Any]) -> float | None:
    return ratio(counts.sum() - np.diag(counts).sum(), counts.sum())
