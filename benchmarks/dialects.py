"""The request and response formats of the contenders."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import ASKED_HORIZON, FEATURES, Batch
from marmita.contract.rows import Floats

JSON = {"Content-Type": "application/json"}
HEADER_LENGTH = "Inference-Header-Content-Length"
OUTPUTS = {"wine_quality": ("quality", "low", "high"), "stock_forecast": ("close", "low", "high")}


@dataclass(frozen=True)
class Request:
    """A request's headers and body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """An answer's headers and body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Dialect:
    """A request and response format.

    `ask` makes the request for a batch. `read` returns the predictions of a response: one row for each row of the
    batch, with the contender's outputs as columns.
    """

    path: Mapping[str, str]
    ask: Callable[[Batch, str], Request]
    read: Callable[[Response, str], Floats] | None
    describes_itself: bool = False
    """Whether the server's `/v2/models/{name}` has the name of the input."""


def _json(value: Any) -> Request:
    return Request(JSON, json.dumps(value, separators=(",", ":")).encode())


def _ask_contract(batch: Batch, _: str) -> Request:
    if batch.model == "wine_quality":
        return _json({"wines": [dict(zip(FEATURES, row, strict=True)) for row in batch.rows]})
    return _json({"series": [{"closes": row, "horizon": ASKED_HORIZON} for row in batch.rows]})


def _read_contract(answer: Response, model: str) -> Floats:
    found = json.loads(answer.body)
    if model == "wine_quality":
        lines = [
            [one["quality"], *([one["interval"]["low"], one["interval"]["high"]] if "interval" in one else [])]
            for one in found
        ]
    else:
        lines = [[step[name] for name in ("close", "low", "high") for step in one["path"]] for one in found]
    return np.array(lines, dtype=np.float32)


def _ask_tensors(batch: Batch, input: str) -> Request:
    data = [value for row in batch.rows for value in row]
    return _json({"inputs": [{"name": input, "shape": _shape(batch), "datatype": "FP32", "data": data}]})


def _ask_binary(batch: Batch, input: str) -> Request:
    data = np.array(batch.rows, dtype="<f4").tobytes()
    tensor = {
        "name": input,
        "shape": _shape(batch),
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(data)},
    }
    head = _json({"inputs": [tensor], "parameters": {"binary_data_output": True}}).body
    return Request({"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}, head + data)


def _shape(batch: Batch) -> list[int]:
    return [len(batch.rows), len(batch.rows[0])]


def _read_tensors(answer: Response, model: str) -> Floats:
    """Read tensors from the JSON, or from the bytes that follow it if a header has the length of the JSON."""
    length = int(answer.headers.get(HEADER_LENGTH.lower(), len(answer.body)))
    tensors = {}
    rest = answer.body[length:]
    for output in json.loads(answer.body[:length])["outputs"]:
        size = (output.get("parameters") or {}).get("binary_data_size")
        if size is None:
            data = np.array(output["data"], dtype=np.float32)
        else:
            data, rest = np.frombuffer(rest[:size], dtype="<f4"), rest[size:]
        tensors[output["name"]] = data.reshape(output["shape"][0], -1)
    return _side_by_side(tensors, model)


def _ask_rows(batch: Batch, _: str) -> Request:
    return _json({"rows": batch.rows})


def _read_columns(answer: Response, model: str) -> Floats:
    columns = json.loads(answer.body)
    return _side_by_side({name: _column(values) for name, values in columns.items()}, model)


def _ask_mlflow(batch: Batch, _: str) -> Request:
    return _json({"inputs": batch.rows})


def _read_mlflow(answer: Response, model: str) -> Floats:
    found = json.loads(answer.body)["predictions"]
    if isinstance(found, list):
        found = {name: [line[name] for line in found] for name in found[0]}
    return _side_by_side({name: _column(values) for name, values in found.items()}, model)


def _ask_array(batch: Batch, _: str) -> Request:
    return _json({"input_data": batch.rows})


def _read_array(answer: Response, model: str) -> Floats:
    found = json.loads(answer.body)
    if isinstance(found, dict):
        steps = {name: np.array(values, dtype=np.float32)[:, :ASKED_HORIZON] for name, values in found.items()}
        return _side_by_side(steps, model)
    return _column(found)


def _column(values: Sequence[Any]) -> Floats:
    return np.array(values, dtype=np.float32).reshape(len(values), -1)


def _side_by_side(outputs: Mapping[str, Floats], model: str) -> Floats:
    return np.hstack([outputs[name] for name in OUTPUTS[model]])


_TENSOR_PATH = {"wine_quality": "/v2/models/wine_quality/infer"}

CONTRACT = Dialect(
    path={"wine_quality": "/wine-quality/score", "stock_forecast": "/stock-forecast/forecast"},
    ask=_ask_contract,
    read=_read_contract,
)
"""This service's typed JSON: named features in requests, and all fields in answers."""

TENSORS = Dialect(path=_TENSOR_PATH, ask=_ask_tensors, read=_read_tensors)
"""The Open Inference Protocol."""

OUR_TENSORS = Dialect(path=_TENSOR_PATH, ask=_ask_tensors, read=_read_tensors, describes_itself=True)
OUR_BINARY = Dialect(path=_TENSOR_PATH, ask=_ask_binary, read=_read_tensors, describes_itself=True)
"""The Open Inference Protocol's binary data extension, in requests and answers."""

LITSERVE = Dialect(path={"wine_quality": "/predict"}, ask=_ask_rows, read=_read_columns)
RAY_SERVE = Dialect(path={"wine_quality": "/"}, ask=_ask_rows, read=_read_columns)
MOSEC = Dialect(path={"wine_quality": "/inference"}, ask=_ask_rows, read=_read_columns)
MLFLOW = Dialect(path={"wine_quality": "/invocations"}, ask=_ask_mlflow, read=_read_mlflow)
BENTOML = Dialect(path={"wine_quality": "/predict", "stock_forecast": "/predict"}, ask=_ask_array, read=_read_array)
CONSTANT = Dialect(path=_TENSOR_PATH, ask=_ask_tensors, read=None)
"""Tensor requests to a server with a constant answer."""
