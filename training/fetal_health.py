"""Train the fetal-health classifier: features of a cardiotocogram to normal, suspect or pathological."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from bentos.fetal_health import HEADERS, Exam, FetalHealth
from marmita.contract.rows import Floats, features
from marmita.training.classifier import ClassifierTraining
from marmita.training.conversion import to_bytes, to_graph
from marmita.training.examples import SEED, Examples, from_table
from training import DATA

TARGET = "fetal_health"
DIFFERENCES = (
    ("histogram_mean", "histogram_mode"),
    ("histogram_mean", "histogram_median"),
    ("histogram_max", "baseline_value"),
    ("baseline_value", "histogram_mean"),
    ("baseline_value", "histogram_mode"),
    ("baseline_value", "histogram_min"),
)
"""Pairs of features whose differences are features, too: a tree can't subtract."""


def read(path: Path = DATA / "fetal_health.csv") -> Examples[np.int64]:
    """Return each distinct exam once. If two labels of one exam differ, the graver one counts."""
    columns = [HEADERS.get(name, name) for name in features(Exam)]
    exams = pd.DataFrame(pd.read_csv(path).groupby(columns, sort=False, as_index=False)[TARGET].max())
    return from_table(
        exams,
        Exam,
        exams[TARGET].to_numpy(dtype=np.int64) - 1,  # the file's classes are 1, 2 and 3
        headers=HEADERS,
        source="Campos & Bernardes (2000), Cardiotocography, UCI, doi 10.24432/C51S4N",
        licence="CC BY 4.0",
    )


def model(seed: int = SEED, trees: int = 100, iterations: int = 120) -> Pipeline:
    """Return a vote of boosting, which is overconfident, and a forest, which is underconfident, with weights 2 to 1.

    Boosting alone has the same accuracy, but its probabilities are badly calibrated. Those of the vote need no
    further calibration.
    """
    boosting = HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=iterations,
        max_leaf_nodes=31,
        max_features=0.4,
        early_stopping=False,
        random_state=seed,
    )
    forest = ExtraTreesClassifier(
        n_estimators=trees,
        max_features=None,
        min_samples_leaf=2,
        class_weight="balanced",
        random_state=seed,
    )
    vote = VotingClassifier(
        [("boosting", boosting), ("forest", forest)],
        voting="soft",
        weights=np.array([2.0, 1.0]),
        flatten_transform=False,
    )
    return Pipeline([("differences", FunctionTransformer(np.dot, kw_args={"b": differences()})), ("vote", vote)])


def differences() -> Floats:
    """Return the matrix that keeps the features and appends their differences.

    All features in a difference are whole numbers, so that single precision is exact here.
    """
    names = features(Exam)
    matrix = np.eye(len(names), len(names) + len(DIFFERENCES), dtype=np.float32)
    for column, (plus, minus) in enumerate(DIFFERENCES, start=len(names)):
        matrix[names.index(plus), column] = 1
        matrix[names.index(minus), column] = -1
    return matrix


def baselines() -> dict[str, Any]:
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return {"majority class": DummyClassifier(strategy="prior"), "logistic regression": logistic}


def convert(fitted: Pipeline) -> bytes:
    """Return one ONNX graph from `features` to the `probabilities` of the three classes."""
    vote = fitted.named_steps["vote"]
    wide = to_graph(vote, differences().shape[1], options={"zipmap": False})
    graph = Extractor(wide).extract_model(["features"], ["probabilities"])
    _widen(graph.graph)
    return to_bytes(graph)


def _widen(graph: onnx.GraphProto) -> None:
    """Prepend the computation of the differences, so that the graph takes the features alone."""
    for node in graph.node:
        node.input[:] = ["wide" if name == "features" else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(differences(), "differences"))
    graph.node.insert(0, helper.make_node("MatMul", ["features", "differences"], ["wide"], name="widen"))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(features(Exam))]))


TRAINING = ClassifierTraining(FetalHealth, read, model, baselines, convert=convert)

if __name__ == "__main__":
    TRAINING.main()
