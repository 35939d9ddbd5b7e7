"""Models that take as long as a test says."""

from collections.abc import Callable
from time import thread_time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from marmita.registry.onnx_model import OnnxModel

WIDTH, HIDDEN = 4, 64


@pytest.fixture(scope="session")
def slow() -> Callable[[float], OnnxModel]:
    """Makes a model that computes for so many seconds, whatever the number of rows, and answers its rows' sums."""
    alone = 2_000
    seconds = min(_seconds(_sums(alone)) for _ in range(3)) / alone
    return lambda wanted: _sums(max(1, round(wanted / seconds)))


def _seconds(model: OnnxModel) -> float:
    start = thread_time()
    model(np.ones((1, WIDTH), np.float32))
    return thread_time() - start


def _sums(times: int) -> OnnxModel:
    """A loop that multiplies a matrix so many times, and then adds nothing of it to the sums."""
    square = helper.make_tensor_value_info("square", TensorProto.FLOAT, [HIDDEN, HIDDEN])
    squared = helper.make_tensor_value_info("squared", TensorProto.FLOAT, [HIDDEN, HIDDEN])
    flag = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("on", "still_on")]
    number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["square", "square"], ["squared"]),
            helper.make_node("Identity", ["on"], ["still_on"]),
        ],
        "body",
        [number, flag[0], square],
        [flag[1], squared],
    )
    constants = {
        "times": np.array(times, np.int64),
        "yes": np.array(True),
        "begin": np.zeros((HIDDEN, HIDDEN), np.float32),
        "ones": np.ones((WIDTH, 1), np.float32),
    }
    nodes = [
        helper.make_node("Loop", ["times", "yes", "begin"], ["end"], body=body),
        helper.make_node("ReduceSum", ["end"], ["nothing"], keepdims=0),
        helper.make_node("MatMul", ["rows", "ones"], ["sum"]),
        helper.make_node("Add", ["sum", "nothing"], ["sums"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, WIDTH])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return OnnxModel(made.SerializeToString())
