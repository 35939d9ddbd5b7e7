"""The ONNX graph of an estimator for a table: one matrix of numbers in, probabilities or a value out.

At its beginning the graph decodes the matrix: numbers stay as they are, and the places of categories become the words
that the estimator was fitted with. So the estimator's own encoders are converted like any other of its steps.
"""

import copy
from collections.abc import Sequence
from operator import methodcaller
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, TargetEncoder

from marmita.contract.columns import UNSEEN_WORD, Column, Kind
from marmita.training.conversion import BOOSTING, convert, is_fitted, parts
from marmita.training.estimators.converters import CONVERTERS, GAP, is_gap

PROBABILITIES, VALUE = "probabilities", "value"

_FEATURES, _WORDS = "features", "words"
_FIRST = 2
"""The place of the first category in a column's vocabulary, after the gap and the unseen word."""
SINGLE = "single_precision"
"""The name of the step that rounds to single precision."""

Inputs = list[tuple[str, Any]]
"""The names and types of a graph's inputs."""


def rounding(estimator: Any) -> Any:
    """Make an unfitted estimator round what it gives to boosting to single precision, as its graph will.

    Boosting compares in double precision. A value next to a threshold would else go down another branch in the graph.
    """
    for _, part in list(parts(estimator)):
        if not isinstance(part, Pipeline) or SINGLE in dict(part.steps):
            continue
        if len(part.steps) > 1 and _boosts(part.steps[-1][1]):
            part.steps.insert(-1, (SINGLE, FunctionTransformer(methodcaller("astype", np.float32))))
    return estimator


def to_table_graph(fitted: Any, columns: Sequence[Column], width: int) -> onnx.ModelProto:
    """Return the graph of a fitted estimator. Its output has `width` columns: one for each class, or a value."""
    model = _convertible(fitted)
    classifies = is_classifier(fitted)
    inputs = _inputs(model, columns)
    specific: dict[str, Any] = (
        {"options": {"zipmap": False}} if classifies else {"final_types": [(VALUE, FloatTensorType([None, 1]))]}
    )
    graph = convert(model, inputs, scaling="div_cast", custom_conversion_functions=CONVERTERS, **specific)
    given = {one.name for one in graph.graph.input}
    output = PROBABILITIES if classifies else VALUE
    graph = Extractor(graph).extract_model([name for name, _ in inputs if name in given], [output])
    _declare_output(graph.graph, width)
    if [name for name, _ in inputs] != [_FEATURES]:
        _decode(graph.graph, columns, inputs)
    return graph


def _boosts(estimator: Any) -> bool:
    return any(isinstance(part, BOOSTING) for _, part in parts(estimator)) if hasattr(estimator, "fit") else False


def _convertible(fitted: Any) -> Any:
    """Return a copy of a fitted estimator in the form that skl2onnx converts to the same answers."""
    model = copy.deepcopy(fitted)
    for part in [part for _, part in parts(model) if is_fitted(part)]:
        match part:
            case Pipeline():
                part.steps = [
                    (name, step) for name, step in part.steps if name != SINGLE and step not in (None, "passthrough")
                ]
            case ColumnTransformer():
                part.transformers_ = [(name, step, _places(part, chosen)) for name, step, chosen in part.transformers_]
            case VotingClassifier() | VotingRegressor():
                part.flatten_transform = False
                part.weights = None if part.weights is None else np.asarray(part.weights, dtype=np.float64)
            case TargetEncoder():
                part.categories_ = [_without_gaps(words) for words in part.categories_]
            case SimpleImputer() if part.statistics_.dtype == object and is_gap(part.missing_values):
                part.missing_values = GAP
    return model


def _places(transformer: ColumnTransformer, chosen: Any) -> list[int]:
    """Return the places of the columns that a step takes: skl2onnx would look for inputs of their names."""
    names = getattr(transformer, "feature_names_in_", range(transformer.n_features_in_))
    places = pd.Series(range(len(names)), index=names)
    if isinstance(chosen, str | int | np.integer):
        chosen = [chosen]
    ends = [chosen.start, chosen.stop] if isinstance(chosen, slice) else list(chosen)
    named = any(isinstance(end, str) for end in ends)
    masked = not isinstance(chosen, slice) and any(isinstance(end, bool | np.bool_) for end in ends)
    found = places.loc[chosen] if named else places[np.asarray(chosen)] if masked else places.iloc[chosen]
    return [int(place) for place in found]


def _without_gaps(words: Any) -> Any:
    """Return categories with the graph's word for a gap. Numbers stay as they are."""
    if not any(isinstance(word, str) for word in words):
        return words
    return np.array([GAP if is_gap(word) else word for word in words], dtype=object)


def _inputs(model: Any, columns: Sequence[Column]) -> Inputs:
    """Return the inputs of the estimator's own graph: one matrix if it can be, or one for each column.

    A `ColumnTransformer` may take columns of one matrix in another order, which skl2onnx does not always keep.
    """
    kinds = {column.kind is Kind.CATEGORY for column in columns}
    chooses = any(isinstance(part, ColumnTransformer) for _, part in parts(model))
    if len(kinds) == 1 and not chooses:
        words = kinds.pop()
        return [
            (_WORDS if words else _FEATURES, (StringTensorType if words else FloatTensorType)([None, len(columns)]))
        ]
    return [
        (f"column_{place}", (StringTensorType if column.kind is Kind.CATEGORY else FloatTensorType)([None, 1]))
        for place, column in enumerate(columns)
    ]


def _declare_output(graph: onnx.GraphProto, width: int) -> None:
    """Give the output its type and its number of columns, which some converters leave open."""
    (output,) = graph.output
    name, kind = output.name, output.type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        inner = f"{name}_in_double"
        for node in graph.node:
            node.output[:] = [inner if one == name else one for one in node.output]
            node.input[:] = [inner if one == name else one for one in node.input]
        graph.node.append(helper.make_node("Cast", [inner], [name], to=TensorProto.FLOAT))
    output.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]))


def _decode(graph: onnx.GraphProto, columns: Sequence[Column], inputs: Inputs) -> None:
    """Prepend the nodes that make the estimator's inputs of the matrix, which becomes the only input."""
    given = {one.name for one in graph.input}
    words = [place for place, column in enumerate(columns) if column.kind is Kind.CATEGORY]
    nodes = _decode_words(graph, columns, words) if words else []
    for place, (name, _) in enumerate(inputs):
        if name not in given or name == _WORDS:  # that is decoded as a whole
            continue
        is_word = place in words
        index = _constant(graph, f"decode_place_{place}", np.array([words.index(place) if is_word else place]))
        nodes.append(helper.make_node("Gather", [_WORDS if is_word else _FEATURES, index], [name], axis=1))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(_FEATURES, TensorProto.FLOAT, [None, len(columns)]))


def _decode_words(graph: onnx.GraphProto, columns: Sequence[Column], words: Sequence[int]) -> list[onnx.NodeProto]:
    """Return the nodes that look up all words in one vocabulary. A place that no category has is an unseen word."""
    vocabulary: list[str] = []
    starts = []
    for place in words:
        starts.append(len(vocabulary) + _FIRST)
        vocabulary += [GAP, UNSEEN_WORD, *columns[place].categories]
    sizes = [len(columns[place].categories) for place in words]
    chosen = _constant(graph, "decode_words", np.array(words))
    known = _constant(graph, "decode_sizes", np.array([sizes], dtype=np.float32))
    first = _constant(graph, "decode_starts", np.array([starts]))
    zero, unseen, gap = (
        _constant(graph, f"decode_{name}", np.array(number, dtype=np.float32))
        for name, number in (("zero", 0), ("unseen", -1), ("gap", -_FIRST))
    )
    texts = _constant(graph, "decode_vocabulary", np.array(vocabulary, dtype=object))
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Gather", [_FEATURES, chosen], "decode_places", {"axis": 1}),
        ("Less", ["decode_places", zero], "decode_below", {}),
        ("Not", ["decode_below"], "decode_not_below", {}),
        ("Less", ["decode_places", known], "decode_not_above", {}),
        ("And", ["decode_not_below", "decode_not_above"], "decode_is_known", {}),
        ("Where", ["decode_is_known", "decode_places", unseen], "decode_known", {}),
        ("IsNaN", ["decode_places"], "decode_is_gap", {}),
        ("Where", ["decode_is_gap", gap, "decode_known"], "decode_all", {}),
        ("Cast", ["decode_all"], "decode_whole", {"to": TensorProto.INT64}),
        ("Add", ["decode_whole", first], "decode_index", {}),
        ("Gather", [texts, "decode_index"], _WORDS, {"axis": 0}),
    ]
    return [helper.make_node(kind, names, [output], **attributes) for kind, names, output, attributes in steps]


def _constant(graph: onnx.GraphProto, name: str, values: Any) -> str:
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name
