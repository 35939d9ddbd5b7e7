"""Compiling scikit-learn's tree models to ONNX without a difference.

skl2onnx has no types of its own and neither has scikit-learn: hence the `Any`.
"""

import copy
from typing import Any

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

OPSETS = {"": 18, "ai.onnx.ml": 3}


def to_graph(model: BaseEstimator, members: list[BaseEstimator], features: int, **options: Any) -> onnx.ModelProto:
    """The graph of a fitted model that takes `features` numbers a row. `members` are the ensembles inside it."""
    boosting = [
        index
        for index, member in enumerate(members)
        if isinstance(member, HistGradientBoostingClassifier | HistGradientBoostingRegressor)
    ]
    model, members = copy.deepcopy((model, members))
    for index in boosting:
        _settle_thresholds(members[index])
    inputs = [("features", FloatTensorType([None, features]))]
    graph: onnx.ModelProto = to_onnx(model, initial_types=inputs, target_opset=OPSETS, **options)
    return graph


def to_bytes(graph: onnx.ModelProto) -> bytes:
    """The checked graph, as it is packed."""
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString())


def _settle_thresholds(boosting: Any) -> None:
    """Lower every threshold to the single-precision number at or below it.

    ONNX keeps thresholds in single precision. Rounded up, a threshold would send a value that equals it the other
    way; rounded down, no single-precision input changes sides.
    """
    for trees in boosting._predictors:
        for tree in trees:
            exact = tree.nodes["num_threshold"]
            near = exact.astype(np.float32)
            below = np.nextafter(near, np.float32(-np.inf))
            tree.nodes["num_threshold"] = np.where(near > exact, below, near)
