"""What a model's records mean: which figures are watched for drift, what a label may be, and how good answers were."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
"""Rows as they went into a model, or as they came out of it."""
Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

ALL = "all"
"""The part of a score that has no parts."""


class Score(NamedTuple):
    """One figure of how good a model was. The part is a class, a day of the path, or all of it."""

    score: str
    part: str
    value: float | None
    """None if nothing that is labelled says anything about it."""


class Dependence(NamedTuple):
    """How much the values of one figure depend on one another: as many as there are say less than they seem to."""

    alike: float
    """The correlation between any two values of now."""
    spell: float
    """So many values of the reference follow one another before it forgets."""

    def worth(self, now: int, then: int) -> tuple[float, float]:
        """How many independent values those of now, and those of the reference, are worth."""
        return now / (1 + (now - 1) * self.alike), then / self.spell


INDEPENDENT = Dependence(alike=0, spell=1)


class LabelledAnswers(NamedTuple):
    """Rows that a model was asked, what it said, and what was true: rows by steps, NaN where nobody knows yet."""

    rows: Floats
    outputs: Floats
    truths: Doubles

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.truths)

    def at(self, rows: Places) -> "LabelledAnswers":
        """Only these rows."""
        return LabelledAnswers(self.rows[rows], self.outputs[rows], self.truths[rows])


class Evaluator(ABC):
    """Reads one model's records."""

    model: str
    first_step: int = 0
    """The number by which a label's first step goes: 0 where a row has one truth, 1 where it has one for each day."""

    @property
    def steps(self) -> int:
        """How many truths a row has."""
        return 1

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers the model takes for a row."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers the model gives for a row."""

    @abstractmethod
    def inputs(self, rows: Floats) -> dict[str, Doubles]:
        """What is watched of the inputs, by the names of the reference statistics."""

    @abstractmethod
    def predictions(self, rows: Floats, outputs: Floats) -> dict[str, Doubles]:
        """What is watched of the answers, by the names of the reference statistics."""

    @abstractmethod
    def read(self, truth: object) -> list[tuple[int, float]]:
        """A label from outside, as steps and values. Raises ValueError if it can't be one."""

    @abstractmethod
    def score(self, answered: LabelledAnswers) -> list[Score]:
        """How good the labelled answers were."""

    @abstractmethod
    def error_ratio(self, answered: LabelledAnswers, held_out: Mapping[str, Any]) -> float | None:
        """The error as a multiple of the one on held-out rows, which the model's card has."""

    def confusion(self, answered: LabelledAnswers) -> list[list[int]] | None:  # noqa: ARG002
        """Labelled rows by true class (line) and predicted class (column), for those who have classes."""
        return None

    def independent(self, rows: Floats) -> Places:
        """The rows that tell something that the others don't: who asks the same again is no second witness."""
        last_place = dict(zip(keys(rows), range(len(rows)), strict=True))
        return np.fromiter(last_place.values(), dtype=np.intp)

    def dependence(self, name: str) -> Dependence:  # noqa: ARG002
        """How much the values of what is watched under this name depend on one another."""
        return INDEPENDENT


@dataclass(frozen=True)
class ClassEvaluator(Evaluator):
    """Judges a model that gives the probability of each class."""

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
        return _columns(self.features, rows)

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
    """Judges a model that gives a number with the two ends of its interval."""

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
        return _columns(self.features, rows)

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


def keys(rows: npt.NDArray[Any]) -> list[bytes]:
    """Each row as bytes: equal rows, equal bytes."""
    whole = np.ascontiguousarray(rows)
    keys: list[bytes] = whole.view(f"V{whole.shape[1] * whole.itemsize}").ravel().tolist()
    return keys


def interval_scores(answers: Doubles, truths: Doubles, part: str) -> list[Score]:
    """Scores of answers (rows by value, low and high by steps), where the truth is known."""
    known = ~np.isnan(truths)
    value, low, high, truth = answers[:, 0][known], answers[:, 1][known], answers[:, 2][known], truths[known]
    errors = value - truth
    return [
        Score("mae", part, mean(np.abs(errors))),
        Score("mse", part, mean(errors**2)),
        Score("coverage", part, mean((low <= truth) & (truth <= high))),
    ]


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is one as JSON has them: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def mean(values: npt.NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def ratio(part: float | None, whole: float | None) -> float | None:
    """None where a share or a multiple has no meaning: nothing is known, or the whole is nothing."""
    return float(part / whole) if part is not None and whole else None


def _columns(names: Sequence[str], rows: Floats) -> dict[str, Doubles]:
    return dict(zip(names, rows.T.astype(np.float64), strict=True))


def _share_wrong(counts: npt.NDArray[Any]) -> float | None:
    return ratio(counts.sum() - np.diag(counts).sum(), counts.sum())
