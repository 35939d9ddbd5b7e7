"""Converting scikit-learn's models to ONNX without a difference.

skl2onnx has no types of its own and neither has scikit-learn: hence the `Any`.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

OPSETS = {"": 18, "ai.onnx.ml": 3}
_STATISTICS = ("center_", "mean_", "scale_")


def to_graph(
    model: BaseEstimator, features: int, *, options: Mapping[str, Any] | None = None, **more: Any
) -> onnx.ModelProto:
    """Return the graph of a fitted model that takes `features` numbers a row. `options` are those of the model itself.

    Scalers divide in the graph as scikit-learn does.
    """
    model = copy.deepcopy(model)
    for part in _parts(model):
        if isinstance(part, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
            _settle_thresholds(part)
    inputs = [("features", FloatTensorType([None, features]))]
    scalers = {type(part) for part in _parts(model)} & {RobustScaler, StandardScaler}
    every: dict[Any, Any] = {kind: {"div": "div"} for kind in scalers}
    if options:
        every[id(model)] = dict(options)
    graph: onnx.ModelProto = to_onnx(model, initial_types=inputs, target_opset=OPSETS, options=every, **more)
    return graph


def to_bytes(graph: onnx.ModelProto) -> bytes:
    """Return the checked graph, as it is packed."""
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString())


def in_single_precision(model: Any) -> Any:
    """Round the statistics of a fitted model's scalers to single precision.

    The graph has them so, and repeats the arithmetic to the last bit. A value that is off by that bit can go down
    another branch of a tree.
    """
    for part in _parts(model):
        for name in _STATISTICS if isinstance(part, RobustScaler | StandardScaler) else ():
            if isinstance(values := getattr(part, name, None), np.ndarray):
                setattr(part, name, values.astype(np.float32))
    return model


def _parts(model: Any) -> Iterator[Any]:
    """Return a fitted model and all that it is made of."""
    yield model
    inner = [step for _, step in model.steps] if isinstance(model, Pipeline) else getattr(model, "estimators_", ())
    for part in inner:
        if isinstance(part, BaseEstimator):
            yield from _parts(part)


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
