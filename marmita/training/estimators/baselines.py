"""What an estimator must beat: the simplest answer, and a linear model of the same columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from marmita.contract.columns import Column, Kind

MOST_INDICATORS = 100
"""The most indicators of a column of words: rarer ones share one."""

_GAP = -2.0
"""The number of a gap among the places of categories."""


def classifiers(columns: Sequence[Column]) -> dict[str, Any]:
    """Return the baselines of a classifier. They take rows as the packed model takes them."""
    linear = make_pipeline(_prepared(columns), LogisticRegression(max_iter=1_000))
    return {"majority class": DummyClassifier(strategy="prior"), "logistic regression": linear}


def regressors(columns: Sequence[Column]) -> dict[str, Any]:
    """Return the baselines of a regressor. They take rows as the packed model takes them."""
    linear = make_pipeline(_prepared(columns), RidgeCV(alphas=np.logspace(-2, 3, 11)))
    return {"mean": DummyRegressor(), "ridge regression": linear}


def _prepared(columns: Sequence[Column]) -> ColumnTransformer:
    words = [place for place, column in enumerate(columns) if column.kind is Kind.CATEGORY]
    numbers = [place for place in range(len(columns)) if place not in words]
    scaled = Pipeline([("fill", SimpleImputer(keep_empty_features=True)), ("scale", StandardScaler())])
    indicators = OneHotEncoder(handle_unknown="ignore", max_categories=MOST_INDICATORS)
    filled = SimpleImputer(strategy="constant", fill_value=_GAP, keep_empty_features=True)
    return ColumnTransformer(
        [("numbers", scaled, numbers), ("words", Pipeline([("fill", filled), ("encode", indicators)]), words)]
    )
