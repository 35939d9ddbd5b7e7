"""The conversion of scikit-learn models to ONNX without a difference in their outputs.

Neither skl2onnx nor scikit-learn has type annotations: hence the `Any`.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MaxAbsScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

OPSETS = {"": 18, "ai.onnx.ml": 3}
BOOSTING = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_SCALERS = (MaxAbsScaler, RobustScaler, StandardScaler)
_STATISTICS = ("center_", "mean_", "scale_")


def to_graph(
    model: BaseEstimator, features: int, *, options: Mapping[str, Any] | None = None, **more: Any
) -> onnx.ModelProto:
    """Return the graph of a fitted model that takes `features` numbers a row. `options` are skl2onnx's for the model.

    Scalers divide in the graph, as scikit-learn does; skl2onnx would multiply by the inverse.
    """
    inputs = [("features", FloatTensorType([None, features]))]
    return convert(copy.deepcopy(model), inputs, options=options, scaling="div", **more)


def convert(
    model: BaseEstimator,
    inputs: Sequence[tuple[str, Any]],
    *,
    options: Mapping[str, Any] | None = None,
    scaling: str,
    **more: Any,
) -> onnx.ModelProto:
    """Return the graph of a fitted model, which may be changed. `scaling` is skl2onnx's option `div` of scalers."""
    found = [part for _, part in parts(model)]
    for part in found:
        if isinstance(part, BOOSTING) and is_fitted(part):
            _round_thresholds_down(part)
    every: dict[Any, Any] = {type(part): {"div": scaling} for part in found if type(part) in _SCALERS}
    if options:
        every[id(model)] = dict(options)
    name = f"ONNX({type(model).__name__})"
    graph: onnx.ModelProto = convert_sklearn(
        model, name, initial_types=list(inputs), target_opset=OPSETS, options=every, **more
    )
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
    for _, part in parts(model):
        for name in _STATISTICS if isinstance(part, _SCALERS) else ():
            if isinstance(values := getattr(part, name, None), np.ndarray):
                setattr(part, name, values.astype(np.float32))
    return model


def is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def parts(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield a model and all estimators that it consists of, each once, with the names of the steps to it.

    Some of a fitted model's may be those that it was made with, which are not fitted.
    """
    yield from _parts(model, "", set())


def _parts(model: Any, path: str, known: set[int]) -> Iterator[tuple[str, Any]]:
    if id(model) in known:
        return
    known.add(id(model))
    yield path, model
    attributes = vars(model)
    for name, value in attributes.items():
        if name.startswith("_") or f"{name}_" in attributes:  # what was given is replaced by what was fitted
            continue
        for label, part in _estimators(name, value):
            yield from _parts(part, f"{path}/{label}".removeprefix("/"), known)


def _estimators(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the estimators in an attribute: one, or several in a list, an array, or a list with their names."""
    if isinstance(value, BaseEstimator):
        yield name, value
    elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        for one in value.ravel() if isinstance(value, np.ndarray) else value:
            label, part = one[:2] if isinstance(one, tuple) and len(one) > 1 else (type(one).__name__, one)
            part = part if isinstance(part, BaseEstimator) else getattr(part, "estimator", None)
            if isinstance(part, BaseEstimator):
                yield str(label), part


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
