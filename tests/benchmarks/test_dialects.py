"""Requests as contenders take them, and answers as they give them."""

import json

import numpy as np
import pytest

from benchmarks import dialects
from benchmarks.dialects import HEADER_LENGTH, Response
from benchmarks.measure import check
from benchmarks.results import ContenderError
from benchmarks.workloads import Batch

EXPECTED = np.array([[5.0, 4.0, 6.0], [5.5, 4.5, 6.5]], dtype=np.float32)
BATCH = Batch("wine_quality", [[float(n) for n in range(11)], [float(n) / 2 for n in range(11)]], EXPECTED)
COLUMNS = {"quality": [5.0, 5.5], "low": [4.0, 4.5], "high": [6.0, 6.5]}


def answered(value: object) -> Response:
    return Response({}, json.dumps(value).encode())


def test_a_binary_request_has_its_numbers_behind_the_json() -> None:
    asked = dialects.OUR_BINARY.ask(BATCH, "wines")
    length = int(asked.headers[HEADER_LENGTH])
    (tensor,) = json.loads(asked.body[:length])["inputs"]

    assert tensor == {
        "name": "wines",
        "shape": [2, 11],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 88},
    }
    assert np.frombuffer(asked.body[length:], "<f4").reshape(2, 11).tolist() == BATCH.rows


def test_tensors_are_read_from_json_and_from_behind_it() -> None:
    outputs = [
        {"name": name, "shape": [2, 1], "datatype": "FP32", "parameters": {"binary_data_size": 8}} for name in COLUMNS
    ]
    head = json.dumps({"outputs": outputs}).encode()
    data = b"".join(np.array(values, "<f4").tobytes() for values in COLUMNS.values())
    binary = Response({HEADER_LENGTH.lower(): str(len(head))}, head + data)
    plain = answered(
        {"outputs": [{"name": name, "shape": [2, 1], "parameters": None, "data": v} for name, v in COLUMNS.items()]}
    )

    for answer in (binary, plain):
        assert dialects.OUR_BINARY.read is not None
        assert np.array_equal(dialects.OUR_BINARY.read(answer, "wine_quality"), EXPECTED)


@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        (dialects.MOSEC, COLUMNS),
        (dialects.MLFLOW, {"predictions": COLUMNS}),
        (
            dialects.MLFLOW,
            {"predictions": [{"quality": 5.0, "low": 4.0, "high": 6.0}, {"quality": 5.5, "low": 4.5, "high": 6.5}]},
        ),
        (
            dialects.CONTRACT,
            [
                {"quality": 5.0, "interval": {"low": 4.0, "high": 6.0}},
                {"quality": 5.5, "interval": {"low": 4.5, "high": 6.5}},
            ],
        ),
    ],
)
def test_predictions_are_found_wherever_a_contender_puts_them(dialect: dialects.Dialect, answer: object) -> None:
    assert dialect.read is not None
    check(dialect.read(answered(answer), "wine_quality"), EXPECTED)


def test_a_contender_may_give_less_than_the_interval() -> None:
    assert dialects.BENTOML.read is not None
    check(dialects.BENTOML.read(answered([5.0, 5.5]), "wine_quality"), EXPECTED)


@pytest.mark.parametrize(
    "predictions", [[[5.0, 4.0, 6.0]], [[5.0, 4.0, 6.0], [5.5, 4.5, 6.6]], [5.0, 5.5], [[np.nan] * 3] * 2]
)
def test_wrong_predictions_are_an_error(predictions: list[object]) -> None:
    with pytest.raises(ContenderError, match="wrong answers"):
        check(np.array(predictions, dtype=np.float32), EXPECTED)
