"""The codec of the Open Inference Protocol: decodes a request to an array of rows, and encodes an array of outputs.

The values of a tensor are in the JSON, or follow it as raw bytes (the protocol's binary tensor data extension).
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from reprlib import repr as shown
from typing import Any, NamedTuple, TypeVar

import numpy as np
from pydantic_core import from_json, to_json

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.requests import MAX_ROWS
from marmita.contract.rows import Floats
from marmita.oip import columns
from marmita.runtime.signature import DATATYPE, TYPES, Numbers, Signature

_NUMBERS = frozenset({int, float})
_MAX_TOKENS = 2 * MAX_ROWS
"""The limit of lists, objects and keys in a request. Parsing millions of them would block a worker for seconds."""
_KINDS = {int: "a whole number", bool: "true or false"}
_UNSUPPORTED = ("classification", "shared_memory_region")
"""Parameters of other servers that must not be ignored: they would change the meaning of the answer."""

T = TypeVar("T")


class InferenceRequest(NamedTuple):
    """A decoded inference request."""

    rows: Floats
    id: str | None
    outputs: Sequence[tuple[str, bool]]
    """The names of the requested outputs, each with whether its values are sent as raw bytes."""


def read(body: bytes, json_size: int | None, signature: Signature) -> InferenceRequest:
    """Decode a request whose first `json_size` bytes are JSON. None means that the whole body is JSON."""
    head = body if json_size is None else body[:json_size]
    if max(map(head.count, (b"[", b"{", b":"))) > _MAX_TOKENS:
        raise _too_many(f"there are more than {_MAX_TOKENS} lists, objects or keys")
    try:
        request = from_json(head, allow_inf_nan=False)
    except ValueError as error:
        raise _invalid(f"the request is not JSON: {error}") from None
    match request:
        case {"inputs": [{"name": signature.input} as tensor]} if not signature.has_words:
            rows = _rows(tensor, b"" if json_size is None else body[json_size:], signature)
        case {"inputs": [_, *_] as tensors} if signature.table:
            rows = columns.read(tensors, b"" if json_size is None else body[json_size:], signature.table)
        case {"inputs": [{"name": str(name)}]}:
            raise _invalid(f"the input is {signature.input!r}, not {shown(name)}")
        case _:
            raise _invalid(f"inputs must be a list with one tensor, {signature.input!r}")
    id = request.get("id")
    if not (id is None or isinstance(id, str)):
        raise _invalid("id must be a string")
    return InferenceRequest(rows, id, _requested_outputs(request, signature))


def describe(signature: Signature) -> dict[str, Any]:
    """Return the metadata of a model."""
    rows = {"name": signature.input, "datatype": DATATYPE, "shape": [-1, signature.width]}
    outputs = signature.outputs.items()
    return {
        "name": signature.model,
        "versions": [signature.version],
        "platform": "onnxruntime_onnx",
        "inputs": columns.describe(signature.table) if signature.has_words else [rows],
        "outputs": [{"name": name, "datatype": DATATYPE, "shape": [-1, width]} for name, width in outputs],
    }


def write(
    asked: InferenceRequest, outputs: Floats, signature: Signature, kept: tuple[str, int] | None = None
) -> tuple[bytes, int | None]:
    """Encode the answer. Return it with the size of its JSON, or None if no raw bytes follow."""
    tensors, binary = [], []
    for name, as_bytes in asked.outputs:
        values = outputs[:, signature.columns[name]]
        tensor: dict[str, Any] = {"name": name, "datatype": DATATYPE, "shape": values.shape}
        if as_bytes:
            content = values.astype("<f4", copy=False).tobytes()
            tensor["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        else:
            tensor["data"] = values.ravel().tolist()
        tensors.append(tensor)
    answer: dict[str, Any] = {"model_name": signature.model, "model_version": signature.version, "outputs": tensors}
    if asked.id is not None:
        answer["id"] = asked.id
    if kept is not None:
        answer["parameters"] = {"prediction_id": f"{kept[0]}-{kept[1]}"}
    head = to_json(answer)
    return (b"".join([head, *binary]), len(head)) if binary else (head, None)


def _rows(tensor: Mapping[str, Any], binary: bytes, signature: Signature) -> Floats:
    shape = tensor.get("shape")
    count = _count(shape, signature)
    values = _values(tensor, binary, signature)
    if len(values) != count * signature.width:
        raise _invalid(f"{signature.input} has {len(values)} values, but its shape is {shape}")
    rows = values.reshape(count, signature.width)
    signature.bounds.check(rows)
    return rows.astype(np.float32, copy=False)


def _count(shape: object, signature: Signature) -> int:
    if not (isinstance(shape, list) and [type(n) for n in shape] == [int, int] and shape[1] == signature.width):
        raise _invalid(f"{signature.input} must have the shape [rows, {signature.width}], not {shown(shape)}")
    count: int = shape[0]
    if count < 1:
        raise _invalid(f"{signature.input} must have at least one row, not {shown(count)}")
    if count > MAX_ROWS:
        raise _too_many(f"at most {MAX_ROWS} rows at a time, not {shown(count)}")
    return count


def _values(tensor: Mapping[str, Any], binary: bytes, signature: Signature) -> Numbers:
    datatype, data = tensor.get("datatype"), tensor.get("data")
    if not isinstance(datatype, str) or datatype not in TYPES:
        raise _invalid(f"{signature.input} must have the datatype FP32 or FP64, not {shown(datatype)}")
    size = _parameter(tensor, "binary_data_size", int)
    if size is None:
        if binary:
            raise _invalid("bytes follow the JSON, but no tensor has a binary_data_size")
        return _from_list(data, signature.width)
    if data is not None:
        raise _invalid(f"{signature.input} has both data in the JSON and a binary_data_size")
    return _from_bytes(binary, size, TYPES[datatype])


def _from_bytes(binary: bytes, size: int, dtype: np.dtype[Any]) -> Numbers:
    if size != len(binary):
        raise _invalid(f"binary_data_size is {shown(size)}, but {len(binary)} bytes follow the JSON")
    if size % dtype.itemsize:
        raise _invalid(f"{size} bytes are no whole number of values")
    return np.frombuffer(binary, dtype)


def _from_list(data: object, width: int) -> Numbers:
    """Return the values of a flat list, or of a list of rows."""
    if not isinstance(data, list):
        raise _invalid("data must be a list of numbers")
    if data and isinstance(data[0], list):
        if not all(type(row) is list and len(row) == width for row in data):
            raise _invalid(f"data must be a list of numbers, or a list of lists of {width} numbers each")
        data = list(chain.from_iterable(data))
    if not set(map(type, data)) <= _NUMBERS:
        raise _invalid("data must hold numbers only")
    try:
        return np.array(data, dtype=np.float64)
    except OverflowError:
        raise _invalid("data must hold finite numbers only") from None


def _requested_outputs(request: Mapping[str, Any], signature: Signature) -> list[tuple[str, bool]]:
    all_binary = bool(_parameter(request, "binary_data_output", bool))
    asked = request.get("outputs")
    if asked is None or asked == []:
        return [(name, all_binary) for name in signature.outputs]
    wanted: dict[str, bool] = {}
    for output in asked if isinstance(asked, list) else [None]:
        if not (isinstance(output, dict) and isinstance(name := output.get("name"), str) and name in signature.outputs):
            raise _invalid(f"outputs must be a list of some of these: {', '.join(signature.outputs)}")
        binary = _parameter(output, "binary_data", bool)
        wanted[name] = all_binary if binary is None else binary
    return list(wanted.items())


def _parameter(holder: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    parameters = holder.get("parameters")
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        raise _invalid("parameters must be an object")
    for other in _UNSUPPORTED:
        if other in parameters:
            raise _invalid(f"the parameter {other} is not supported")
    value = parameters.get(name)
    if not (value is None or type(value) is kind):
        raise _invalid(f"the parameter {name} must be {_KINDS[kind]}")
    return value


def _invalid(error: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, error)


def _too_many(error: str) -> RequestError:
    return RequestError(ErrorCode.TOO_MANY_ITEMS, error)
