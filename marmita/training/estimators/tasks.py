"""The two tasks of an estimator: classes with their probabilities, or a value with its interval."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from marmita.contract.columns import Column
from marmita.contract.rows import Floats
from marmita.records.quality.evaluators import VALUE
from marmita.training.conformal import COVERAGE
from marmita.training.estimators import baselines
from marmita.training.estimators.target import Target, class_names
from marmita.training.estimators.trial import answer
from marmita.training.examples import Doubles
from marmita.training.scoring import calibration_error_by_chance, class_scores, interval_scores, value_scores

CALIBRATED = 0.05
"""The calibration error up to which probabilities count as calibrated, beyond that of chance."""


class Task(ABC):
    """What depends on whether an estimator predicts classes or values."""

    name: ClassVar[str]
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool]
    shown: ClassVar[Sequence[str]]
    """The scores that are printed."""
    simplest: ClassVar[str]
    """The baseline that knows nothing of a row."""
    has_interval: ClassVar[bool]

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of the estimator's answers to a row."""

    @property
    @abstractmethod
    def described(self) -> dict[str, Any]:
        """The part of the contract on the answers."""

    @abstractmethod
    def spread(self, target: Target) -> float:
        """Return the unit of differences between answers."""

    @abstractmethod
    def truths(self, target: Target) -> npt.NDArray[Any]:
        """Return truths in the form that `scores` takes."""

    @abstractmethod
    def scores(self, truths: npt.NDArray[Any], outputs: Doubles) -> dict[str, Any]:
        """Score the outputs of a packed model."""

    @abstractmethod
    def predictions(self, outputs: Doubles) -> dict[str, Doubles]:
        """Return the figures of outputs to watch for drift."""

    @abstractmethod
    def baselines(self, columns: Sequence[Column]) -> Mapping[str, Any]:
        """Return what the estimator must beat."""

    @property
    def served(self) -> dict[str, Any]:
        """What serving needs among the reference statistics."""
        return {}

    def fit_baselines(
        self, columns: Sequence[Column], train: tuple[Floats, npt.NDArray[Any]], unseen: tuple[Floats, npt.NDArray[Any]]
    ) -> dict[str, dict[str, Any]]:
        """Return the scores of the baselines on held-out rows."""
        return {
            name: self.scores(unseen[1], self.predict(baseline.fit(*train), unseen[0]))
            for name, baseline in self.baselines(columns).items()
        }

    def predict(self, baseline: Any, rows: Floats) -> Doubles:
        return answer(baseline, rows)


@dataclass(frozen=True)
class Classification(Task):
    """Classes with their probabilities."""

    classes: tuple[Any, ...]
    """The estimator's own labels, in its order."""

    name = "classification"
    metric = "macro_f1"
    higher_is_better = True
    shown = ("macro_f1", "log_loss", "calibration_error")
    simplest = "majority class"
    has_interval = False

    @property
    def names(self) -> list[str]:
        return class_names(self.classes)

    @property
    def width(self) -> int:
        return len(self.classes)

    @property
    def described(self) -> dict[str, Any]:
        return {"classes": self.names}

    def spread(self, target: Target) -> float:  # noqa: ARG002
        return 1.0

    def truths(self, target: Target) -> npt.NDArray[Any]:
        return target.places(self.classes)

    def scores(self, truths: npt.NDArray[Any], outputs: Doubles) -> dict[str, Any]:
        scores = class_scores(self.names, truths, outputs)
        bound = CALIBRATED + calibration_error_by_chance(outputs)
        return scores | {"calibration_bound": bound, "calibrated": scores["calibration_error"] <= bound}

    def predictions(self, outputs: Doubles) -> dict[str, Doubles]:
        return dict(zip(self.names, outputs.T, strict=True))

    def baselines(self, columns: Sequence[Column]) -> Mapping[str, Any]:
        return baselines.classifiers(columns)

    def predict(self, baseline: Any, rows: Floats) -> Doubles:
        """Return the probabilities of all classes: a baseline knows those of the training rows only."""
        widened = np.zeros((len(rows), self.width))
        widened[:, baseline.classes_] = answer(baseline, rows)
        return widened


@dataclass(frozen=True)
class Regression(Task):
    """A value with its interval."""

    name = "regression"
    metric = "mae"
    higher_is_better = False
    shown = ("mae", "rmse", "r2")
    simplest = "mean"
    has_interval = True

    @property
    def width(self) -> int:
        return 1

    @property
    def described(self) -> dict[str, Any]:
        return {}

    def spread(self, target: Target) -> float:
        return float(np.std(target.values))

    def truths(self, target: Target) -> npt.NDArray[Any]:
        return target.values

    def scores(self, truths: npt.NDArray[Any], outputs: Doubles) -> dict[str, Any]:
        intervals = interval_scores(truths, outputs) if outputs.shape[1] > 1 else {}
        return value_scores(truths, outputs[:, 0]) | intervals

    def predictions(self, outputs: Doubles) -> dict[str, Doubles]:
        return {VALUE: outputs[:, 0]}

    def baselines(self, columns: Sequence[Column]) -> Mapping[str, Any]:
        return baselines.regressors(columns)

    @property
    def served(self) -> dict[str, Any]:
        return {"coverage": COVERAGE}
