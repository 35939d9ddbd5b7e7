"""Recipes: estimators with the steps that prepare a table's columns for them, and what it costs to fit them.

Only steps are used that become ONNX without a difference in their answers. scikit-learn has no type annotations: hence
the `Any`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log2, sqrt
from typing import Any, NamedTuple

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from marmita.contract.columns import UNSEEN, Column, Kind
from marmita.contract.training_order import Task, Value

MOST_ONE_HOT = 50
"""The most categories of a column that get a column of their own each. Of more, a linear model knows so many."""
_MOST_ONE_HOT_OF_TREES = 10
_GAP = -2
"""The number of a gap among words, for estimators that take no gaps."""

ESTIMATORS: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        LogisticRegression,
        RandomForestClassifier,
        RandomForestRegressor,
        Ridge,
    )
}
"""The estimators by the names that an order may use."""
CALIBRATION_FOLDS = 3

_CLASSIFIERS = frozenset(name for name in ESTIMATORS if name.endswith("Classifier"))
_FORESTS = {
    "RandomForestClassifier": 5e-8,
    "RandomForestRegressor": 5e-8,
    "ExtraTreesClassifier": 2.5e-8,
    "ExtraTreesRegressor": 2.5e-8,
}
"""The seconds that a comparison takes when a forest is fitted."""
_BOUNDS = frozenset({"min_samples_leaf", "max_depth", "max_leaf_nodes"})
_MOST_LEAVES = 2_000_000
"""The most numbers in the leaves of a forest, which may then take 50 MB."""


class Size(NamedTuple):
    """The size of a table to fit a model on."""

    rows: int
    width: int
    """The number of columns that trees take once words are encoded."""
    wide: int
    """The number of those that a linear model takes."""
    outputs: int
    """The number of classes; 1 for values."""

    def of(self, rows: int) -> "Size":
        return self._replace(rows=rows)


@dataclass(frozen=True)
class Recipe:
    """A recipe for a model: an estimator by its name, with parameters."""

    model: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    calibrated: bool = False

    def make(self, columns: Sequence[Column], seed: int) -> Any:
        """Return an unfitted estimator for tables of these columns."""
        estimator = ESTIMATORS[self.model](**{"random_state": seed, **self.parameters})
        steps = _steps(estimator, columns)
        if self.calibrated:
            estimator = CalibratedClassifierCV(_to_calibrate(estimator), cv=CALIBRATION_FOLDS, ensemble=False)
        return make_pipeline(*steps, estimator) if steps else estimator

    def for_size(self, size: Size) -> "Recipe":
        """Return the recipe for a table of this size: a forest's leaves are as large as its graph has to be small."""
        if self.model not in _FORESTS or self.parameters.keys() & _BOUNDS:
            return self
        least = int(size.rows * self._trees * size.outputs / _MOST_LEAVES)
        return replace(self, parameters={**self.parameters, "min_samples_leaf": least}) if least > 1 else self

    def cost(self, size: Size) -> float:
        """Return about how many seconds a fit takes on one core. It decides what is tried, so it is no measurement."""
        rows, trees, outputs = size.rows, self._trees, size.outputs
        times = CALIBRATION_FOLDS + 1 if self.calibrated else 1
        cells = rows * size.width
        if self.model in ("LogisticRegression", "Ridge"):
            return times * (0.02 + 1e-7 * rows * size.wide * outputs)
        if self.model in _FORESTS:
            share = self.parameters.get("max_features", "sqrt" if self.model in _CLASSIFIERS else 1.0)
            tried = size.width * share if isinstance(share, float) else sqrt(size.width)
            return times * trees * (0.001 + _FORESTS[self.model] * rows * log2(rows + 1) * max(tried, 1))
        outputs = outputs if outputs > 2 else 1
        if self.model.startswith("Hist"):
            leaves = int(self.parameters.get("max_leaf_nodes") or 31)
            return times * trees * outputs * (0.001 + 5e-9 * cells + 7e-7 * leaves * size.width)
        return times * trees * outputs * (0.001 + 1.5e-7 * cells)

    @property
    def _trees(self) -> int:
        return int(self.parameters.get("n_estimators") or self.parameters.get("max_iter") or 100)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"{self.model}({given}){' with calibration' if self.calibrated else ''}"


def trivial(task: Task) -> Any:
    """Return the baseline that has learned nothing from the columns."""
    return DummyClassifier(strategy="prior") if task == "classification" else DummyRegressor()


def linear(task: Task) -> Recipe:
    """Return the recipe of a linear model."""
    return Recipe("LogisticRegression", {"max_iter": 1_000}) if task == "classification" else Recipe("Ridge")


def candidates(task: Task) -> list[Recipe]:
    """Return the recipes to choose from, the cheapest first."""
    careful = {"learning_rate": 0.05, "max_iter": 200, "max_leaf_nodes": 15, "l2_regularization": 1.0}
    kind = "Classifier" if task == "classification" else "Regressor"
    share = {} if task == "classification" else {"max_features": 0.4}
    return [
        linear(task),
        Recipe(f"HistGradientBoosting{kind}", {"early_stopping": False}),
        Recipe(f"HistGradientBoosting{kind}", {"early_stopping": False, **careful}),
        Recipe(f"ExtraTrees{kind}", share),
        Recipe(f"RandomForest{kind}", share),
    ]


def size_of(columns: Sequence[Column], rows: int, classes: int) -> Size:
    """Return the size of a table with so many rows and classes."""
    words = [len(column.categories) for column in columns]
    width = sum(count if 0 < count <= _MOST_ONE_HOT_OF_TREES else 1 for count in words)
    return Size(rows, width, sum(min(count, MOST_ONE_HOT) or 1 for count in words), classes or 1)


def _is_linear(estimator: Any) -> bool:
    return isinstance(estimator, LogisticRegression | Ridge)


def _to_calibrate(estimator: Any) -> Any:
    """Return an estimator in the form whose calibration is converted.

    skl2onnx asks extremely random trees for decisions, which they don't have, unless they are a pipeline. A pipeline
    with boosting, on the other hand, it asks for probabilities, where scikit-learn calibrates decisions.
    """
    return estimator if hasattr(estimator, "decision_function") else make_pipeline(estimator)


def _steps(estimator: Any, columns: Sequence[Column]) -> list[Any]:
    """Return the steps before an estimator."""
    numbers = [column.name for column in columns if column.kind is not Kind.CATEGORY]
    words = [column for column in columns if column.kind is Kind.CATEGORY]
    of_numbers = _number_steps(estimator)
    if not words:
        return of_numbers
    parts = [("numbers", make_pipeline(*of_numbers) if of_numbers else "passthrough", numbers)] if numbers else []
    few = [column for column in words if _is_linear(estimator) or len(column.categories) <= _MOST_ONE_HOT_OF_TREES]
    many = [column for column in words if column not in few]
    if few:
        parts.append(("words", _one_hot(few), [column.name for column in few]))
    if many:
        parts.append(("many words", _ordinal(estimator, many), [column.name for column in many]))
    return [ColumnTransformer(parts, sparse_threshold=0)]


def _number_steps(estimator: Any) -> list[Any]:
    """Return the steps for numbers. Boosting by histograms takes gaps as they are, and trees need no scaling."""
    if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return []
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return [imputer, StandardScaler()] if _is_linear(estimator) else [imputer]


def _one_hot(columns: Sequence[Column]) -> Any:
    """Return the encoder of the first words of each column. All others, and gaps that training had not, are zeros."""
    known = [[*column.categories[:MOST_ONE_HOT], *([np.nan] if column.gaps else [])] for column in columns]
    return OneHotEncoder(
        categories=[np.array(words, dtype=object) for words in known],
        handle_unknown="ignore",
        sparse_output=False,
        dtype=np.float32,
    )


def _ordinal(estimator: Any, columns: Sequence[Column]) -> Any:
    """Return the encoder of words by their places."""
    takes_gaps = isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor)
    return OrdinalEncoder(
        categories=[
            np.array([*column.categories, *([np.nan] if column.gaps else [])], dtype=object) for column in columns
        ],
        handle_unknown="use_encoded_value",
        unknown_value=int(UNSEEN),
        encoded_missing_value=np.nan if takes_gaps else _GAP,
        dtype=np.float32,
    )
