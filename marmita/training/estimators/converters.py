"""Converters to ONNX of steps that skl2onnx converts to other answers than the estimator's.

skl2onnx has no type annotations: hence the `Any`.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from onnx import TensorProto
from skl2onnx.algebra.onnx_ops import OnnxAdd, OnnxCast, OnnxClip, OnnxMul
from skl2onnx.common.data_types import StringTensorType
from skl2onnx.operator_converters.common import concatenate_variables
from skl2onnx.operator_converters.decision_tree import (
    convert_sklearn_decision_tree_classifier,
    convert_sklearn_decision_tree_regressor,
)
from skl2onnx.operator_converters.ordinal_encoder import convert_sklearn_ordinal_encoder
from skl2onnx.operator_converters.random_forest import (
    convert_sklearn_random_forest_classifier,
    convert_sklearn_random_forest_regressor_converter,
)
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.preprocessing import MinMaxScaler, OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

Converter = Callable[[Any, Any, Any], None]
"""A function that adds an estimator's nodes to a graph. It takes the scope, the operator and the container."""

GAP = ""
"""The word of a gap in a graph."""
LOGARITHMIC = ("poisson", "gamma")
"""The losses of boosting that predict a logarithm."""

_OPERATORS = 13
"""The version of the operators that are added one by one."""


def is_gap(word: object) -> bool:
    return word is None or (isinstance(word, float) and np.isnan(word)) or word is pd.NA


def convert_min_max_scaler(scope: Any, operator: Any, container: Any) -> None:
    """Scale in double precision, as scikit-learn does: a difference in the last bit leads down another branch."""
    scaler, version = operator.raw_operator, container.target_opset
    name = concatenate_variables(scope, operator.inputs, container)
    scaled: Any = OnnxCast(name, to=TensorProto.DOUBLE, op_version=version)
    scaled = OnnxMul(scaled, scaler.scale_, op_version=version)
    scaled = OnnxAdd(scaled, scaler.min_, op_version=version)
    if scaler.clip:
        low, high = (np.array(end, dtype=np.float64) for end in scaler.feature_range)
        scaled = OnnxClip(scaled, low, high, op_version=version)
    out = OnnxCast(scaled, to=TensorProto.FLOAT, op_version=version, output_names=[operator.outputs[0].full_name])
    out.add_to(scope, container)


def convert_ordinal_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Give a gap among words the number that the estimator gives it, which may be NaN."""
    encoder = operator.raw_operator
    if not all(isinstance(each.type, StringTensorType) for each in operator.inputs):
        convert_sklearn_ordinal_encoder(scope, operator, container)
        return
    known = encoder.handle_unknown == "use_encoded_value"
    columns = []
    for place, name in enumerate(_columns(scope, operator, container)):
        encoded = scope.get_unique_variable_name("ordinal_encoded")
        container.add_node(
            "LabelEncoder",
            name,
            encoded,
            op_domain="ai.onnx.ml",
            op_version=2,
            name=scope.get_unique_operator_name("LabelEncoder"),
            keys_strings=[GAP if is_gap(word) else str(word) for word in encoder.categories_[place]],
            values_floats=_codes(encoder, place).tolist(),
            default_float=float(encoder.unknown_value) if known else -1.0,
        )
        columns.append(encoded)
    joined = scope.get_unique_variable_name("ordinal_joined")
    _add_node(scope, container, "Concat", columns, [joined], axis=1)
    kind = TensorProto.FLOAT if np.issubdtype(encoder.dtype, np.floating) else TensorProto.INT64
    _add_node(scope, container, "Cast", [joined], operator.output_full_names, to=kind)


def _add_node(scope: Any, container: Any, kind: str, inputs: list[str], outputs: list[str], **attributes: int) -> None:
    name = scope.get_unique_operator_name(kind)
    container.add_node(kind, inputs, outputs, op_version=_OPERATORS, name=name, **attributes)


def _columns(scope: Any, operator: Any, container: Any) -> list[str]:
    """Return the names of the encoder's columns, each of a tensor with one column."""
    names = []
    for variable in operator.inputs:
        for place in range(width := variable.get_second_dimension()):
            if width == 1:
                names.append(variable.full_name)
                continue
            index, column = (scope.get_unique_variable_name(f"ordinal_{kind}") for kind in ("index", "word"))
            container.add_initializer(index, TensorProto.INT64, [1], [place])
            container.add_node("Gather", [variable.full_name, index], column, axis=1)
            names.append(column)
    return names


def _codes(encoder: Any, place: int) -> npt.NDArray[np.float64]:
    """Return the number of each category of one column."""
    categories = encoder.categories_
    asked = np.empty((len(categories[place]), len(categories)), dtype=object)
    for column, known in enumerate(categories):
        asked[:, column] = known[0] if column != place else known
    names = getattr(encoder, "feature_names_in_", None)
    given = asked if names is None else pd.DataFrame(asked, columns=names, dtype=object)
    return np.asarray(encoder.transform(given), dtype=np.float64)[:, place]


def with_gaps(converter: Converter) -> Converter:
    """Return the converter of a tree or a forest whose nodes send a gap where the estimator's nodes send it."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        before = len(container.nodes)
        converter(scope, operator, container)
        trees = [node for node in container.nodes[before:] if node.op_type.startswith("TreeEnsemble")]
        estimator = operator.raw_operator
        lefts = [tree.tree_.missing_go_to_left for tree in getattr(estimator, "estimators_", [estimator])]
        for attributes in ({one.name: one for one in tree.attribute} for tree in trees):
            nodes = zip(attributes["nodes_treeids"].ints, attributes["nodes_nodeids"].ints, strict=True)
            attributes["nodes_missing_value_tracks_true"].ints[:] = [int(lefts[tree][node]) for tree, node in nodes]

    return convert


def with_link(converter: Converter) -> Converter:
    """Return the converter of boosting whose sum of trees is the logarithm of the value for some losses."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        if operator.raw_operator.loss not in LOGARITHMIC:
            converter(scope, operator, container)
            return
        logarithm = scope.get_unique_variable_name("logarithm")
        inner = SimpleNamespace(
            raw_operator=operator.raw_operator,
            inputs=operator.inputs,
            input_full_names=operator.input_full_names,
            outputs=[SimpleNamespace(full_name=logarithm)],
        )
        converter(scope, inner, container)
        name = scope.get_unique_operator_name("Exp")
        container.add_node("Exp", logarithm, operator.outputs[0].full_name, name=name)

    return convert


CONVERTERS: dict[type, Converter] = {
    DecisionTreeClassifier: with_gaps(convert_sklearn_decision_tree_classifier),
    DecisionTreeRegressor: with_gaps(convert_sklearn_decision_tree_regressor),
    ExtraTreesClassifier: with_gaps(convert_sklearn_random_forest_classifier),
    ExtraTreesRegressor: with_gaps(convert_sklearn_random_forest_regressor_converter),
    HistGradientBoostingRegressor: with_link(convert_sklearn_random_forest_regressor_converter),
    MinMaxScaler: convert_min_max_scaler,
    OrdinalEncoder: convert_ordinal_encoder,
    RandomForestClassifier: with_gaps(convert_sklearn_random_forest_classifier),
    RandomForestRegressor: with_gaps(convert_sklearn_random_forest_regressor_converter),
}
"""The converters to use instead of skl2onnx's own."""
