"""The conversion of scikit-learn models to ONNX without a difference in their outputs.

Neither skl2onnx nor scikit-learn has type annotations: hence the `Any`.
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
    """Return the graph of a fitted model that takes `features` numbers a row. `options` are skl2onnx's for the model.

    Scalers divide in the graph, as scikit-learn does; skl2onnx would multiply by the inverse.
    """
    model = copy.deepcopy(model)
    for part in _parts(model):
        if isinstance(part, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
            _round_thresholds_down(part)
    inputs = [("features", FloatTensorType([None, features]))]
    scalers = {type(part) for part in _parts(model)} & {RobustScaler, StandardScaler}
    every: dict[Any, Any] = {kind: {"div": "div"} for kind in scalers}
    if options:
        every[id(model)] = dict(options)
    graph: onnx.ModelProto = to_onnx(model, initial_types=inputs, target_opset=OPSETS, options=every, **more)
    return graph


def to_bytes(graph: onnx.ModelProto) -> bytes:
    """Check a graph, and return its serialized form."""
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString())


def in_single_precision(model: Any) -> Any:
    """Round the statistics of a fitted model's scalers to single precision.

    The graph holds them in single precision, so that both compute the same values to the last bit. A difference in the
    last bit can lead down another branch of a tree.
    """
    for part in _parts(model):
        for name in _STATISTICS if isinstance(part, RobustScaler | StandardScaler) else ():
            if isinstance(values := getattr(part, name, None), np.ndarray):
                setattr(part, name, values.astype(np.float32))
    return model


def _parts(model: Any) -> Iterator[Any]:
    """Yield a fitted model and all estimators that it consists of."""
    yield model
    inner = [step for _, step in model.steps] if isinstance(model, Pipeline) else getattr(model, "estimators_", ())
    for part in inner:
        if isinstance(part, BaseEstimator):
            yield from _parts(part)


def _round_thresholds_down(boosting: Any) -> None:
    """Round every threshold down to a single-precision number.

    ONNX holds thresholds in single precision. Rounded up, a threshold may send an input between the two values to the
    other branch; rounded down, every single-precision input takes the same branch as before.
    """
    for trees in boosting._predictors:
        for tree in trees:
            exact = tree.nodes["num_threshold"]
            near = exact.astype(np.float32)
            below = np.nextafter(near, np.float32(-np.inf))
            tree.nodes["num_threshold"] = np.where(near > exact, below, near)
