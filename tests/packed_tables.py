"""Small table models for tests: a linear model over the encoded columns, made without training."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import onnx
from bentoml.models import ModelContext
from onnx import TensorProto, helper, numpy_helper

from marmita.contract.columns import Column, Kind
from marmita.records.quality.reference import describe
from marmita.registry import champions, packed_model
from marmita.registry.card import Card, Data, GateVerdict, Headline
from marmita.registry.packed_model import PackedModel

MIXED = (
    Column("age in years", Kind.INTEGER, low=0, high=150, example=40),
    Column("plan", Kind.CATEGORY, categories=("basic", "pro"), gaps=True, unseen=True, example="pro"),
    Column("region", Kind.CATEGORY, categories=("north", "south"), example="north"),
    Column("balance", gaps=True, example=12.5),
    Column("is active", Kind.BOOLEAN, example=True),
)
"""A column of each kind, with gaps and without."""
NUMBERS = (Column("x", example=1.0), Column("y", low=-10, high=10, example=2.0))
CLASSES = ("leaves", "stays")


def pack_table(
    name: str,
    columns: Sequence[Column] = MIXED,
    classes: Sequence[str] = (),
    *,
    shift: float = 0.0,
    passes: bool = True,
    promote: bool = True,
) -> PackedModel:
    """Pack a table model, and make it the champion. `shift` is added to all outputs of a regressor."""
    features = [asdict(column) | {"missing": 0.1 if column.name == "balance" else 0.0} for column in columns]
    contract = {"task": "regression", "target": "target", "features": features}
    if classes:
        contract |= {"task": "classification", "classes": list(classes)}
    packed = packed_model.save(
        name,
        native=lambda _: None,
        module="bentoml.sklearn",
        context=ModelContext(framework_name="scikit-learn", framework_versions={}),
        compiled=_classifier(len(columns), len(classes)) if classes else _regressor(len(columns), shift),
        contract=contract,
        card=_card(name, passes),
        reference=_reference(columns, classes),
        labels={},
    )
    if promote:
        champions.promote(packed)
    return packed


def _regressor(width: int, shift: float) -> bytes:
    """Return a graph that adds up a row, gaps as zeros. The interval is one to either side."""
    nodes = [helper.make_node("ReduceSum", ["clean", "axis"], ["total"], keepdims=1)]
    constants = {"axis": np.array([1], np.int64)}
    for output, offset in (("value", shift), ("low", shift - 1), ("high", shift + 1)):
        constants[f"{output}_offset"] = np.array([offset], np.float32)
        nodes.append(helper.make_node("Add", ["total", f"{output}_offset"], [output]))
    return _graph(width, nodes, constants, {"value": 1, "low": 1, "high": 1})


def _classifier(width: int, classes: int) -> bytes:
    """Return a graph whose first class is the more probable the smaller the row's sum is."""
    weights = np.linspace(-0.01, 0.01, classes, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["clean", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    return _graph(width, nodes, {"weights": np.tile(weights, (width, 1))}, {"probabilities": classes})


def _graph(width: int, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], outputs: dict[str, int]) -> bytes:
    clean = [
        helper.make_node("IsNaN", ["features"], ["gaps"]),
        helper.make_node("Where", ["gaps", "zero", "features"], ["clean"]),
    ]
    initializers = constants | {"zero": np.array(0, np.float32)}
    graph = helper.make_graph(
        [*clean, *nodes],
        "table",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size]) for name, size in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in initializers.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(made.SerializeToString())


def _reference(columns: Sequence[Column], classes: Sequence[str]) -> dict[str, object]:
    seen = {column.name: np.arange(max(len(column.categories), 2)) for column in columns}
    predictions = {name: np.linspace(0, 1, 50) for name in classes} or {"value": np.linspace(0, 100, 50)}
    return {
        "features": {name: describe(values) for name, values in seen.items()},
        "predictions": {name: describe(values) for name, values in predictions.items()},
        "coverage": 0.9,
    }


def _card(name: str, passes: bool) -> Card:
    return Card(
        model=name,
        about=f"Predict the target of {name}.",
        made=datetime.now(UTC),
        seed=7,
        data=Data(source="a test", licence="", fingerprint="0", rows=100, rows_held_out=20),
        parameters={},
        libraries={},
        headline=Headline(metric="mae", value=1.0, baseline="mean", baseline_value=2.0, higher_is_better=False),
        held_out={"mae": 1.0, "confusion": [[5, 1], [1, 5]]},
        baselines={},
        compiled_difference=0.0,
        verdict=GateVerdict(promoted=passes, reason="it beats the mean" if passes else "it does not"),
    )
