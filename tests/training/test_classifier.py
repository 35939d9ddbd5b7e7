"""A classifier's graph says what the estimator says, whatever estimator it is."""

from collections.abc import Callable
from typing import Any

import bentoml
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from marmita.contract.rows import Floats, Row, feature
from marmita.registry.onnx_model import OnnxModel
from marmita.runtime.tables import Classifier, serves
from marmita.service import Service
from marmita.training.classifier import ClassifierTraining
from marmita.training.conversion import in_single_precision
from marmita.training.examples import CannotTrainError, Examples


class Blossom(Row):
    """One blossom."""

    sepal_length: float = feature("Sepal length", unit="cm", low=0, high=30, example=5.1)
    sepal_width: float = feature("Sepal width", unit="cm", low=0, high=30, example=3.5)
    petal_length: float = feature("Petal length", unit="cm", low=0, high=30, example=1.4)
    petal_width: float = feature("Petal width", unit="cm", low=0, high=30, example=0.2)


@bentoml.service(service_class=Service)
@serves(Blossom, route="/blossoms/classify", rows="blossoms")
class Blossoms(Classifier):
    """Classify blossoms."""

    classes = ("setosa", "versicolor", "virginica")


def scaled() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(n_estimators=5, random_state=3),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=5, random_state=3),
    "pipeline": scaled,
    "pipeline in a pipeline": lambda: make_pipeline(StandardScaler(), scaled()),
    "vote of pipelines": lambda: VotingClassifier(
        [("one", scaled()), ("other", LogisticRegression())], voting="soft", flatten_transform=False
    ),
}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_graph_gives_the_estimators_probabilities(kind: str) -> None:
    rows, truths = load_iris(return_X_y=True)
    features: Floats = rows.astype(np.float32)
    estimator = in_single_precision(ESTIMATORS[kind]().fit(features, truths))
    unread: Any = None

    graph = ClassifierTraining(Blossoms, unread, unread, unread).convert(estimator)

    np.testing.assert_allclose(OnnxModel(graph)(features), estimator.predict_proba(features), atol=1e-6)


def test_a_class_that_has_no_row_to_learn_from_is_named() -> None:
    """Its only row is held out: an estimator would not know it."""
    rows = np.arange(40, dtype=np.float32).reshape(10, 4)
    examples: Examples[np.int64] = Examples(
        features=rows,
        truths=np.array([0, 0, 0, 0, 0, 2, 2, 2, 2, 1]),
        held_out=np.array([False] * 9 + [True]),
        source="",
        licence="",
        fingerprint="",
    )
    unread: Any = None
    training = ClassifierTraining(Blossoms, unread, unread, unread)

    with pytest.raises(CannotTrainError, match=r"^blossoms .* class versicolor: "):
        training.train(examples)
