"""Leaks: columns that are the target under another name, or that tell it alone."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from marmita.contract.columns import Column, Floats, Kind
from marmita.contract.training_order import Task
from marmita.training.examples import Doubles

SUSPICIOUS = 0.99
"""The score of a column alone, from 0 to 1, from which on it is told."""

_CORRELATION = 1 - 1e-9
_MIN_TIMES = 2
"""How many rows a value must have on average, so that equal columns are no accident."""
_MOST_CELLS = 400_000
_MOST_ROWS = 2_000
_MIN_ROWS = 300
_FOLDS = 3
_LEAVES = 64
_MIN_LEAF = 5


def is_the_target(column: Column, values: Floats, truths: Doubles, task: Task) -> bool:
    """Tell whether a column is the target: the same values, the same in another unit, or a word for each."""
    if task == "regression" and column.kind is not Kind.CATEGORY:
        return _is_linear(values.astype(np.float64), truths)
    return _is_one_to_one(values, truths)


def score_alone(values: Floats, truths: Doubles, task: Task, seed: int, columns: int) -> float:
    """Return how well a column alone tells the target: the mean recall of the classes, or R².

    It is measured on a sample, which is the smaller the more columns there are.
    """
    size = min(len(truths), max(_MIN_ROWS, min(_MOST_ROWS, _MOST_CELLS // columns)))
    sample = np.random.default_rng(seed).choice(len(truths), size, replace=False)
    rows, known = values[sample].reshape(-1, 1), truths[sample]
    split = KFold(min(_FOLDS, size), shuffle=True, random_state=seed)
    limits: dict[str, Any] = {"max_leaf_nodes": _LEAVES, "min_samples_leaf": _MIN_LEAF, "random_state": seed}
    if task == "classification":
        predicted = cross_val_predict(DecisionTreeClassifier(**limits), rows, known, cv=split)
        return float(balanced_accuracy_score(known, predicted))
    predicted = cross_val_predict(DecisionTreeRegressor(**limits), rows, known, cv=split)
    return max(float(r2_score(known, predicted)), 0.0)


def _is_linear(values: Doubles, truths: Doubles) -> bool:
    if np.isnan(values).any() or values.std() == 0 or truths.std() == 0:
        return False
    correlation = np.corrcoef(values, truths)[0, 1]
    return bool(abs(correlation) >= _CORRELATION)


def _is_one_to_one(values: npt.NDArray[Any], truths: Doubles) -> bool:
    """Tell whether each value stands for one truth and each truth for one value. A gap counts as a value."""
    of_values, of_truths = (np.unique(each, return_inverse=True)[1] for each in (values, truths))
    different = int(of_values.max()) + 1
    if different != int(of_truths.max()) + 1 or different * _MIN_TIMES > len(truths):
        return False
    return len(np.unique(of_values * different + of_truths)) == different
