"""Steps that are known to become other models: nothing is packed, and it is said what to do; or both are the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler, TargetEncoder

from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.pack import pack
from tests.training.estimators import sample
from tests.training.estimators.sample import prepared

ORDINAL = {"handle_unknown": "use_encoded_value", "unknown_value": -1}


def linear() -> Any:
    return LogisticRegression(max_iter=500)


def texts() -> tuple[pd.DataFrame, Any]:
    generator = np.random.default_rng(0)
    words = generator.choice(["x1 o'neil", "São-Paulo!", "new york", "a b", "Été_2"], 200)
    frame = pd.DataFrame({"text": words, "number": generator.normal(size=200)})
    return frame, frame["text"].isin(["new york", "São-Paulo!"]) == (frame["number"] > -1)


def counted(vectorizer: Any) -> Any:
    return make_pipeline(ColumnTransformer([("text", vectorizer, "text")], remainder="passthrough"), linear())


def by_dtype() -> tuple[Any, Any, Any]:
    frame = sample.table().astype({sample.COLOUR: "category", sample.CITY: "category"})
    return HistGradientBoostingClassifier(max_iter=5), frame, sample.answers(sample.table())


def by_place() -> tuple[Any, Any, Any]:
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features=[4, 5])
    return make_pipeline(prepared(words=OrdinalEncoder(**ORDINAL)), model), *classes()


def classes() -> tuple[Any, Any]:
    return sample.table(), sample.answers(sample.table())


def values() -> tuple[Any, Any]:
    return sample.table(), sample.values(sample.table())


def three() -> tuple[Any, Any]:
    return sample.table(), pd.qcut(sample.values(sample.table()), 3, labels=["low", "middle", "high"])


class Home(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator that somebody made."""

    def fit(self, X: Any, y: Any) -> "Home":  # noqa: ARG002, N803
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        return np.full(len(X), self.mean_)


NOT_PACKED: dict[str, tuple[Callable[[], tuple[Any, Any, Any]], Problem, str]] = {
    "boosting with categories by place": (by_place, Problem.DIFFERENCE, "categorical_features=None"),
    "boosting with categories by dtype": (by_dtype, Problem.CONVERSION, "categorical_features=None"),
    "isotonic calibration": (
        lambda: (
            make_pipeline(prepared(SimpleImputer()), CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2)),
            *classes(),
        ),
        Problem.DIFFERENCE,
        "method='sigmoid'",
    ),
    "counted words": (lambda: (counted(CountVectorizer()), *texts()), Problem.DIFFERENCE, "derive numbers"),
    "weighted words": (lambda: (counted(TfidfVectorizer()), *texts()), Problem.DIFFERENCE, "derive numbers"),
    "indicators of gaps": (
        lambda: (make_pipeline(prepared(SimpleImputer(add_indicator=True)), linear()), *classes()),
        Problem.DIFFERENCE,
        "add_indicator=False",
    ),
    "means of three classes": (
        lambda: (make_pipeline(prepared(SimpleImputer(), TargetEncoder()), linear()), *three()),
        Problem.CONVERSION,
        "OrdinalEncoder",
    ),
    "a function": (
        lambda: (
            make_pipeline(prepared(make_pipeline(SimpleImputer(), FunctionTransformer(np.abs))), linear()),
            *classes(),
        ),
        Problem.CONVERSION,
        "before packing",
    ),
    "a function of the target": (
        lambda: (
            TransformedTargetRegressor(
                make_pipeline(prepared(SimpleImputer()), Ridge()), func=np.log, inverse_func=np.exp
            ),
            *values(),
        ),
        Problem.CONVERSION,
        "transform the target",
    ),
    "an estimator of one's own": (lambda: (Home(), *values()), Problem.CONVERSION, "the step Home can't be compiled"),
}


@pytest.mark.parametrize("kind", NOT_PACKED)
def test_nothing_is_packed_and_the_error_says_what_to_do(kind: str, empty_store: Path) -> None:
    make, problem, instead = NOT_PACKED[kind]
    estimator, frame, truths = make()

    with pytest.raises(CannotPackError) as error:
        pack(estimator, frame, truths, name="faulty")

    assert error.value.code is problem
    assert instead in str(error.value)
    assert list(empty_store.iterdir()) == []


PACKED: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "boosting of counts": lambda: (
        make_pipeline(prepared(), HistGradientBoostingRegressor(loss="poisson", max_iter=5)),
        *values(),
    ),
    "a forest with gaps": lambda: (make_pipeline(prepared(), RandomForestClassifier(5, random_state=3)), *classes()),
    "ordinal numbers of gaps": lambda: (
        make_pipeline(prepared(words=OrdinalEncoder(**ORDINAL)), HistGradientBoostingClassifier(max_iter=5)),
        *classes(),
    ),
    "a forest after a scaler": lambda: (
        make_pipeline(prepared(make_pipeline(SimpleImputer(), StandardScaler())), RandomForestClassifier(5)),
        *classes(),
    ),
    "boosting after a scaler": lambda: (
        make_pipeline(prepared(StandardScaler()), HistGradientBoostingClassifier(max_iter=5)),
        *classes(),
    ),
    "boosting of seconds": lambda: (HistGradientBoostingClassifier(max_iter=5), *seconds()),
    "a forest of seconds": lambda: (RandomForestClassifier(5), *seconds()),
}


@pytest.mark.parametrize("kind", PACKED)
def test_what_skl2onnx_alone_gets_wrong_is_packed_and_the_same(kind: str, empty_store: Path) -> None:
    estimator, frame, truths = PACKED[kind]()

    packed = pack(estimator, frame, truths, name="fine")

    assert packed.card.compiled_rows is not None
    assert packed.card.compiled_rows > 500
    assert packed.card.compiled_difference < 1e-5


def test_what_was_fitted_on_more_digits_than_a_service_gets_is_not_packed(empty_store: Path) -> None:
    frame, truths = seconds()
    fitted = HistGradientBoostingClassifier(max_iter=20).fit(frame.iloc[:300], truths.iloc[:300])

    with pytest.raises(CannotPackError, match="the column seconds") as error:
        pack(fitted, frame.iloc[:300], truths.iloc[:300], name="seconds", holdout=(frame.iloc[300:], truths.iloc[300:]))

    assert error.value.code is Problem.DIFFERENCE
    assert list(empty_store.iterdir()) == []


def seconds() -> tuple[pd.DataFrame, "pd.Series[int]"]:
    """Seconds since 1970, of which single precision keeps every 128th."""
    generator = np.random.default_rng(4)
    late = generator.integers(0, 4_000, size=600)
    return pd.DataFrame({"seconds": 1.7e9 + late, "noise": generator.normal(size=600)}), pd.Series(late // 500 % 2)
