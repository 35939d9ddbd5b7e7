"""The tensor routes in the OpenAPI document."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from marmita.contract.openapi import ERRORS, Inference, errors, example, json_of, schema

_ERRORS = ERRORS | {
    HTTPStatus.BAD_REQUEST: "The body is invalid. For an invalid value, the error names the row and the field.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is neither application/json nor application/octet-stream.",
}


def _object(about: str, optional: dict[str, Any] | None = None, **required: Any) -> dict[str, Any]:
    properties = required | (optional or {})
    return {"type": "object", "description": about, "properties": properties, "required": list(required)}


def _list(items: dict[str, Any], **bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **bounds}


_STRING, _BOOLEAN, _INTEGER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
_SIZE = {"parameters": _object("The encoding of a tensor.", {"binary_data_size": _INTEGER})}
_VALUES = _list({}) | {
    "description": "Numbers, words or booleans, row by row. Absent if the values follow the JSON as raw bytes."
}
_SHAPE = _list(_INTEGER, minItems=1, maxItems=2) | {"description": "Rows and columns"}
SCHEMAS = {
    "TensorError": _object("An error of the tensor routes.", error=_STRING),
    "TensorServer": _object("The server.", name=_STRING, version=_STRING, extensions=_list(_STRING)),
    "TensorLive": _object("Whether the service is alive.", live=_BOOLEAN),
    "TensorReady": _object("Whether a model, or all of them, can answer.", {"name": _STRING}, ready=_BOOLEAN),
    "TensorMetadata": _object(
        "The name, type and shape of a tensor. -1 is any number of rows.", name=_STRING, datatype=_STRING, shape=_SHAPE
    ),
    "TensorModel": _object(
        "The inputs and outputs of a model.",
        name=_STRING,
        versions=_list(_STRING),
        platform=_STRING,
        inputs=_list(schema("TensorMetadata")),
        outputs=_list(schema("TensorMetadata")),
    ),
    "InputTensor": _object(
        "Rows for a model.",
        {"data": _VALUES, **_SIZE},
        name=_STRING,
        shape=_SHAPE,
        datatype={"type": "string", "enum": ["FP32", "FP64", "INT64", "BOOL", "BYTES"]},
    ),
    "AskedOutput": _object(
        "A requested output.",
        {"parameters": _object("The encoding of the output.", {"binary_data": _BOOLEAN})},
        name=_STRING,
    ),
    "InferRequest": _object(
        "Rows for a model, and the requested outputs: all of them if `outputs` is absent.",
        {
            "id": _STRING,
            "outputs": _list(schema("AskedOutput")),
            "parameters": _object("The encoding of the outputs.", {"binary_data_output": _BOOLEAN}),
        },
        inputs=_list(schema("InputTensor"), minItems=1),
    ),
    "OutputTensor": _object(
        "An output of a model for each row.", {"data": _VALUES, **_SIZE}, name=_STRING, shape=_SHAPE, datatype=_STRING
    ),
    "InferAnswer": _object(
        "A model's outputs. `id` is the request's. `prediction_id` labels the first row, if it is recorded.",
        {"id": _STRING, "parameters": _object("Parameters of the answer.", {"prediction_id": _STRING})},
        model_name=_STRING,
        model_version=_STRING,
        outputs=_list(schema("OutputTensor")),
    ),
}
"""The schemas of the Open Inference Protocol."""


def paths(models: Mapping[str, Inference]) -> dict[str, Any]:
    """Return the path items of the Open Inference Protocol's routes."""
    name = {"name": "name", "in": "path", "required": True, "schema": _STRING | {"enum": list(models)}}
    of_model: dict[str, Any] = {"parameters": [name]}
    unready = {HTTPStatus.SERVICE_UNAVAILABLE: "Not ready yet."}
    unknown = unready | {HTTPStatus.NOT_FOUND: "No such model is served."}
    found = {
        "/v2": _get("tensor_server", "The server's name and version", "TensorServer"),
        "/v2/health/live": _get("tensor_server_live", "The service is alive", "TensorLive"),
        "/v2/health/ready": _get("tensor_server_ready", "All models can answer", "TensorReady", unready),
        "/v2/models/{name}": of_model
        | _get("tensor_model", "The inputs and outputs of a model", "TensorModel", unknown),
        "/v2/models/{name}/ready": of_model | _get("tensor_model_ready", "A model can answer", "TensorReady", unknown),
    }
    return found | {f"/v2/models/{model}/infer": {"post": _infer(model, models[model])} for model in models}


def _get(
    operation: str, about: str, answer: str, error_responses: Mapping[HTTPStatus, str] | None = None
) -> dict[str, Any]:
    responses = {"200": json_of(about, schema(answer)), **errors(error_responses or {}, "TensorError")}
    return {"get": {"operationId": operation, "tags": ["tensors"], "summary": about, "responses": responses}}


def _infer(model: str, inference: Inference) -> dict[str, Any]:
    return {
        "operationId": f"infer_{model}",
        "tags": ["tensors"],
        "summary": f"Ask {model} in tensors",
        "description": "The Open Inference Protocol's inference route. With its binary tensor data extension, values "
        "may also follow the JSON as raw bytes, in the request and in the answer.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema("InferRequest"), "example": _example(inference)}},
        },
        "responses": {
            "200": json_of("The requested outputs.", schema("InferAnswer")),
            **errors(_ERRORS, "TensorError"),
        },
    }


def _example(inference: Inference) -> dict[str, Any]:
    """Return the example of a model's typed route as tensors: its list of values, or all features in order."""
    if inference.tensors:
        return {"inputs": list(inference.tensors)}
    ((row,),) = example(inference.request).values()
    lists = [(name, value) for name, value in row.items() if isinstance(value, list)]
    name, values = lists[0] if lists else ("features", list(row.values()))
    return {"inputs": [{"name": name, "shape": [1, len(values)], "datatype": "FP32", "data": values}]}
