"""Lessons: rows with their truths to learn from, and how good predictions of the truths are."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from marmita.contract.columns import Column, Floats
from marmita.contract.training_order import Task, TrainingErrorCode
from marmita.records.quality.evaluators import keys
from marmita.training.examples import Doubles, Mask
from marmita.training.from_csv.encoding import table_of
from marmita.training.from_csv.errors import CannotLearnError
from marmita.training.from_csv.recipes import Size, size_of
from marmita.training.scoring import class_scores, value_scores

METRICS = {"classification": "macro_f1", "regression": "mae"}
"""The score that models of a task are compared by."""

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Lesson:
    """Rows to learn from, or to be judged on."""

    columns: Sequence[Column]
    rows: Floats
    truths: Doubles
    """Values, or places of classes."""
    classes: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        return "classification" if self.classes else "regression"

    @property
    def higher_is_better(self) -> bool:
        return bool(self.classes)

    @property
    def size(self) -> Size:
        return size_of(self.columns, len(self.rows), len(self.classes))

    @cached_property
    def frame(self) -> pd.DataFrame:
        table = table_of(self.columns)
        frame: pd.DataFrame = table.native(table.decode(self.rows))
        return frame

    @cached_property
    def distinct(self) -> tuple[Places, Places]:
        """The group of equal rows that each row belongs to, and the first row of each group."""
        groups, _ = pd.factorize(np.array(keys(self.rows), dtype=object))
        return groups, np.unique(groups, return_index=True)[1]

    @property
    def labels(self) -> npt.NDArray[Any]:
        """The truths as a packed model knows them: the names of classes, or numbers where all of them are."""
        if not self.classes:
            return self.truths
        are_numbers = all(name.lstrip("-").isdecimal() for name in self.classes)
        names = np.array([int(name) for name in self.classes] if are_numbers else self.classes, dtype=object)
        labels = names[self.truths.astype(np.intp)]
        return labels.astype(np.int64) if are_numbers else labels

    def at(self, rows: Mask | Places) -> "Lesson":
        """Return the lesson of some rows."""
        return replace(self, rows=self.rows[rows], truths=self.truths[rows])

    def sample(self, size: int, seed: int) -> "Lesson":
        """Return the lesson of so many rows, chosen by chance but in their order."""
        if size >= len(self.rows):
            return self
        return self.at(np.sort(np.random.default_rng(seed).choice(len(self.rows), size, replace=False)))

    def fit(self, estimator: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class that is rare, a fit that has not converged to the last digit
            return estimator.fit(self.frame, self.truths.astype(np.int64) if self.classes else self.truths)

    def predict(self, fitted: Any) -> Doubles:
        """Return the probability of each class, or the value, of each row."""
        if not self.classes:
            return np.asarray(fitted.predict(self.frame), dtype=np.float64)
        probabilities = np.zeros((len(self.rows), len(self.classes)))
        probabilities[:, fitted.classes_.astype(np.intp)] = fitted.predict_proba(self.frame)
        return probabilities

    def scores(self, predicted: Doubles) -> dict[str, Any]:
        """Score predictions for all rows."""
        if self.classes:
            return class_scores(self.classes, self.truths.astype(np.int64), predicted)
        return value_scores(self.truths, predicted)

    def folds(self, count: int, seed: int) -> npt.NDArray[np.int64]:
        """Return the fold of each row. Equal rows are in the same fold, and each fold has its share of each class."""
        groups, first = self.distinct
        truths = self.truths[first]
        split = (StratifiedKFold if self.classes else KFold)(count, shuffle=True, random_state=seed)
        folds = np.empty(len(first), np.int64)
        if len(first) < count or (self.classes and np.bincount(truths.astype(np.intp)).max() < count):
            raise CannotLearnError(
                TrainingErrorCode.TOO_FEW_ROWS,
                f"there are {len(first)} different rows to learn from, too few to be divided by {count}",
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class that is in fewer rows than there are folds
            for fold, (_, tested) in enumerate(split.split(truths, truths if self.classes else None)):
                folds[tested] = fold
        return folds[groups]
