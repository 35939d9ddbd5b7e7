"""Converters to ONNX of steps that skl2onnx converts to other answers than the estimator's.

skl2onnx has no type annotations: hence the `Any`.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
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
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from marmita.contract.columns import UNSEEN_WORD

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
    """Give a gap the number that the estimator gives it, which may be NaN."""
    encoder = operator.raw_operator
    known = encoder.handle_unknown == "use_encoded_value"
    unseen = float(encoder.unknown_value) if known else -1.0
    columns = []
    for place, (name, is_word) in enumerate(_columns(scope, operator, container)):
        categories = encoder.categories_[place]
        codes = _encoded(encoder, place, categories)[:, place]
        keyed = _keyed(categories, is_word)
        (encoded,) = _names(scope, "ordinal", "encoded")
        values = {"values_floats": codes[keyed].tolist(), "default_float": unseen}
        _add_lookup(scope, container, name, encoded, keys=_keys(categories[keyed], is_word), values=values)
        columns.append(encoded if keyed.all() else _with_gap(scope, container, name, encoded, codes[~keyed]))
    _join(scope, operator, container, columns)


def _with_gap(scope: Any, container: Any, name: str, encoded: str, code: Any) -> str:
    is_gap, constant, whole = _names(scope, "ordinal", "is_gap", "gap", "whole")
    container.add_initializer(constant, TensorProto.FLOAT, [1], code)
    _add_node(scope, container, "IsNaN", [name], [is_gap])
    _add_node(scope, container, "Where", [is_gap, constant, encoded], [whole])
    return whole


def convert_one_hot_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Compare numbers with their categories as they are: 2.5 is no 2, and a gap may be a category.

    Words of which the rare ones share an indicator are looked up in a table, as unseen words may share it, too.
    """
    encoder = operator.raw_operator
    columns = []
    for place, (name, is_word) in enumerate(_columns(scope, operator, container)):
        categories = encoder.categories_[place]
        if _rare(encoder, place):
            columns.append(_looked_up(scope, container, name, encoder, place, is_word))
            continue
        drops = encoder.drop_idx_ is not None and encoder.drop_idx_[place] is not None
        kept = np.delete(categories, encoder.drop_idx_[place]) if drops else categories
        if len(kept):
            columns.append((_indicators_of_words if is_word else _indicators_of_numbers)(scope, container, name, kept))
    _join(scope, operator, container, columns)


def _indicators_of_words(scope: Any, container: Any, name: str, categories: Any) -> str:
    indicators, column = _names(scope, "one_hot", "indicators", "column")
    container.add_node(
        "OneHotEncoder",
        name,
        indicators,
        op_domain="ai.onnx.ml",
        name=scope.get_unique_operator_name("OneHotEncoder"),
        cats_strings=_words(categories),
        zeros=1,  # an unseen word must not cost the rest of its batch an answer
    )
    _add_reshape(scope, container, indicators, column, len(categories))
    return column


def _indicators_of_numbers(scope: Any, container: Any, name: str, categories: Any) -> str:
    numbers = np.array(_floats(categories), dtype=np.float32)
    known = numbers[~np.isnan(numbers)]
    constant, equal, indicators, column = _names(scope, "one_hot", "known", "equal", "indicators", "column")
    container.add_initializer(constant, TensorProto.FLOAT, [1, len(known)], known)
    _add_node(scope, container, "Equal", [name, constant], [equal])
    found = [equal]
    if len(known) < len(numbers):  # scikit-learn puts a gap last
        found += _names(scope, "one_hot", "is_gap")
        _add_node(scope, container, "IsNaN", [name], found[-1:])
    _add_node(scope, container, "Concat", found, [indicators], axis=1)
    _add_node(scope, container, "Cast", [indicators], [column], to=TensorProto.FLOAT)
    return column


def _looked_up(scope: Any, container: Any, name: str, encoder: Any, place: int, is_word: bool) -> str:
    """Return the indicators of a column, each category's from a table. Its last line is that of unseen categories."""
    categories = encoder.categories_[place]
    keyed = _keyed(categories, is_word)
    if not keyed.all():
        raise NotImplementedError("OneHotEncoder has rare categories among numbers with gaps")
    unseen = UNSEEN_WORD if is_word else float(np.max(categories)) + 1
    asked = [*categories] if encoder.handle_unknown == "error" else [*categories, unseen]
    start, width = sum(_width(encoder, before) for before in range(place)), _width(encoder, place)
    table = _encoded(encoder, place, asked)[:, start : start + width]
    if len(table) == len(categories):
        table = np.vstack([table, np.zeros_like(table[:1])])
    index, constant, rows, column = _names(scope, "one_hot", "index", "table", "rows", "column")
    values = {"values_int64s": list(range(len(categories))), "default_int64": len(categories)}
    _add_lookup(scope, container, name, index, keys=_keys(categories, is_word), values=values)
    container.add_initializer(constant, TensorProto.FLOAT, table.shape, table.ravel())
    _add_node(scope, container, "Gather", [constant, index], [rows], axis=0)
    _add_reshape(scope, container, rows, column, width)
    return column


def _rare(encoder: Any, place: int) -> int:
    """Return the number of the categories of a column that share an indicator."""
    shares = encoder.max_categories is not None or encoder.min_frequency is not None
    rare = encoder.infrequent_categories_[place] if shares else None
    return 0 if rare is None else len(rare)


def _width(encoder: Any, place: int) -> int:
    """Return the number of indicators of a column."""
    dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[place] is not None
    return len(encoder.categories_[place]) - max(_rare(encoder, place) - 1, 0) - int(dropped)


def _columns(scope: Any, operator: Any, container: Any) -> Iterator[tuple[str, bool]]:
    """Yield the name of each column of an encoder, as a tensor with one column, and whether it has words."""
    for variable in operator.inputs:
        is_word = isinstance(variable.type, StringTensorType)
        for place in range(width := variable.get_second_dimension()):
            if width == 1:
                yield variable.full_name, is_word
                continue
            index, column = _names(scope, "encoder", "index", "column")
            container.add_initializer(index, TensorProto.INT64, [1], [place])
            _add_node(scope, container, "Gather", [variable.full_name, index], [column], axis=1)
            yield column, is_word


def _join(scope: Any, operator: Any, container: Any, columns: list[str]) -> None:
    (joined,) = _names(scope, "encoder", "joined")
    _add_node(scope, container, "Concat", columns, [joined], axis=1)
    kind = TensorProto.INT64 if np.issubdtype(operator.raw_operator.dtype, np.integer) else TensorProto.FLOAT
    _add_node(scope, container, "Cast", [joined], operator.output_full_names, to=kind)


def _add_node(scope: Any, container: Any, kind: str, inputs: list[str], outputs: list[str], **attributes: int) -> None:
    name = scope.get_unique_operator_name(kind)
    container.add_node(kind, inputs, outputs, op_version=_OPERATORS, name=name, **attributes)


def _add_reshape(scope: Any, container: Any, name: str, output: str, width: int) -> None:
    (shape,) = _names(scope, "encoder", "shape")
    container.add_initializer(shape, TensorProto.INT64, [2], [-1, width])
    _add_node(scope, container, "Reshape", [name, shape], [output])


def _add_lookup(
    scope: Any, container: Any, name: str, output: str, *, keys: dict[str, Any], values: dict[str, Any]
) -> None:
    unique = scope.get_unique_operator_name("LabelEncoder")
    container.add_node(
        "LabelEncoder", [name], [output], op_domain="ai.onnx.ml", op_version=2, name=unique, **keys, **values
    )


def _encoded(encoder: Any, place: int, asked: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return what an encoder makes of values of one column. The other columns have their first category."""
    rows = np.empty((len(asked), len(encoder.categories_)), dtype=object)
    for column, known in enumerate(encoder.categories_):
        rows[:, column] = known[0] if column != place else asked
    names = getattr(encoder, "feature_names_in_", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an unseen word
        found = encoder.transform(rows if names is None else pd.DataFrame(rows, columns=names, dtype=object))
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=np.float64)


def _keyed(categories: Any, is_word: bool) -> npt.NDArray[np.bool_]:
    """Return the mask of the categories that can be looked up: no number is equal to NaN."""
    return np.array([is_word or not is_gap(one) for one in categories], dtype=np.bool_)


def _keys(categories: Any, is_word: bool) -> dict[str, Any]:
    return {"keys_strings": _words(categories)} if is_word else {"keys_floats": _floats(categories)}


def _words(categories: Any) -> list[str]:
    return [GAP if is_gap(word) else str(word) for word in categories]


def _floats(categories: Any) -> list[float]:
    return [float(one) for one in categories]


def _names(scope: Any, prefix: str, *kinds: str) -> list[str]:
    return [scope.get_unique_variable_name(f"{prefix}_{kind}") for kind in kinds]


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
    OneHotEncoder: convert_one_hot_encoder,
    OrdinalEncoder: convert_ordinal_encoder,
    RandomForestClassifier: with_gaps(convert_sklearn_random_forest_classifier),
    RandomForestRegressor: with_gaps(convert_sklearn_random_forest_regressor_converter),
}
"""The converters to use instead of skl2onnx's own."""
