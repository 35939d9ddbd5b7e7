"""The OpenAPI document, written from the contracts.

BentoML writes one too, but drops units, ranges and examples, mixes JSON Schema into OpenAPI 3.0 that 3.0 does not
know, and leaves out the routes that are not its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from marmita import record_document
from marmita.catalog import ServedModelInFull, ServedModels
from marmita.contract import Error

_PROBES = {
    "/healthz": "The process is alive.",
    "/livez": "The process is alive.",
    "/readyz": "The models can answer.",
    "/metrics": "Metrics in Prometheus's text format.",
}
_ERRORS = {
    HTTPStatus.BAD_REQUEST: "Something in the body is wrong: the row and the field are named.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Too many rows, or too large a body.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not application/json.",
    HTTPStatus.TOO_MANY_REQUESTS: "The service is full: try again later.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A fault of the service.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The model is not ready.",
    HTTPStatus.GATEWAY_TIMEOUT: "The answer took too long.",
}


_TENSOR_ERRORS = _ERRORS | {
    HTTPStatus.BAD_REQUEST: "Something in the body is wrong: where it is a value, the row and the field are named.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is neither application/json nor application/octet-stream.",
}


def _object(about: str, optional: dict[str, Any] | None = None, **required: Any) -> dict[str, Any]:
    properties = required | (optional or {})
    return {"type": "object", "description": about, "properties": properties, "required": list(required)}


def _list(items: dict[str, Any], **bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **bounds}


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_STRING, _BOOLEAN, _INTEGER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
_SIZE = {"parameters": _object("How a tensor is sent.", {"binary_data_size": _INTEGER})}
_VALUES = _list({"type": "number"}) | {"description": "Row by row. Not there if the values follow as plain bytes."}
_SHAPE = _list(_INTEGER, minItems=2, maxItems=2) | {"description": "Rows and columns"}
_TENSOR_SCHEMAS = {
    "TensorError": _object("An error of the tensor routes.", error=_STRING),
    "TensorServer": _object("Who serves.", name=_STRING, version=_STRING, extensions=_list(_STRING)),
    "TensorLive": _object("Whether the service is alive.", live=_BOOLEAN),
    "TensorReady": _object("Whether a model, or all of them, can answer.", {"name": _STRING}, ready=_BOOLEAN),
    "TensorMetadata": _object(
        "What a tensor is like. -1 is any number of rows.", name=_STRING, datatype=_STRING, shape=_SHAPE
    ),
    "TensorModel": _object(
        "What a model takes and gives.",
        name=_STRING,
        versions=_list(_STRING),
        platform=_STRING,
        inputs=_list(_schema("TensorMetadata")),
        outputs=_list(_schema("TensorMetadata")),
    ),
    "InputTensor": _object(
        "Rows for a model.",
        {"data": _VALUES, **_SIZE},
        name=_STRING,
        shape=_SHAPE,
        datatype={"type": "string", "enum": ["FP32", "FP64"]},
    ),
    "AskedOutput": _object(
        "An output to be given.",
        {"parameters": _object("How it is to be given.", {"binary_data": _BOOLEAN})},
        name=_STRING,
    ),
    "InferRequest": _object(
        "Rows for a model, and what is wanted of it: without `outputs`, all that it gives.",
        {
            "id": _STRING,
            "outputs": _list(_schema("AskedOutput")),
            "parameters": _object("How outputs are to be given.", {"binary_data_output": _BOOLEAN}),
        },
        inputs=_list(_schema("InputTensor"), minItems=1, maxItems=1),
    ),
    "OutputTensor": _object(
        "What a model gives for each row.", {"data": _VALUES, **_SIZE}, name=_STRING, shape=_SHAPE, datatype=_STRING
    ),
    "InferAnswer": _object(
        "A model's outputs, with the request's id if it has one, and the one to label them by if they are kept.",
        {"id": _STRING, "parameters": _object("More about the outputs.", {"prediction_id": _STRING})},
        model_name=_STRING,
        model_version=_STRING,
        outputs=_list(_schema("OutputTensor")),
    ),
}
"""What the Open Inference Protocol speaks of."""


@dataclass(frozen=True)
class Inference:
    """A route that asks a model: one `request` comes in, an `answer` goes out, as a rule for each of its rows."""

    path: str
    operation: str
    about: str
    request: type[BaseModel]
    answer: type[BaseModel]
    many: bool = True
    """Whether there is an answer for each row, or just one."""


@dataclass(frozen=True)
class Document:
    """A finished document, in the place where BentoML expects the one that it would write."""

    content: dict[str, Any]

    def asdict(self) -> dict[str, Any]:
        return self.content


yaml.add_representer(Document, lambda dumper, document: dumper.represent_dict(document.content))


def document(title: str, about: str, version: str, inferences: Sequence[Inference]) -> Document:
    """The document of a service with these routes."""
    models: list[type[BaseModel]] = [Error, ServedModels, ServedModelInFull, *record_document.REQUESTS]
    models += record_document.ANSWERS
    models += [model for inference in inferences for model in (inference.request, inference.answer)]
    requests = {*record_document.REQUESTS, *(inference.request for inference in inferences)}
    _, schemas = models_json_schema(
        [(model, "validation" if model in requests else "serialization") for model in models],
        by_alias=False,
        ref_template="#/components/schemas/{model}",
    )
    paths = {inference.path: {"post": _inference(inference)} for inference in inferences}
    paths |= {
        "/models": {"get": _look("list_models", "All models that are served", ServedModels)},
        "/models/{name}": {
            "get": _look("show_model", "One model with its card and its contract", ServedModelInFull)
            | {"parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]}
        },
    }
    by_model = {_model(inference): inference for inference in inferences if inference.many}
    paths |= record_document.paths(list(by_model), with_prices=any(not inference.many for inference in inferences))
    paths |= _tensor_paths(by_model)
    paths |= {path: {"get": _probe(path, about)} for path, about in _PROBES.items()}
    content = {
        "openapi": "3.1.0",
        "info": {"title": title, "description": about, "version": version},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"] | _TENSOR_SCHEMAS,
            "securitySchemes": {"key": record_document.KEY},
        },
    }
    return Document(
        json.loads(json.dumps(content))
    )  # what is in it twice, YAML would write as a reference to the first


def _inference(inference: Inference) -> dict[str, Any]:
    answer = _reference(inference.answer)
    about = "The answer."
    if inference.many:
        answer, about = {"type": "array", "items": answer}, "One answer for each row, in the rows' order."
    example = _example(inference.request)
    return {
        "operationId": inference.operation,
        "tags": ["models"],
        "summary": inference.about.partition("\n")[0],
        "description": inference.about,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference(inference.request), "example": example}},
        },
        "responses": {
            "200": _json(about, answer),
            **_errors(_ERRORS, Error.__name__),
        },
    }


def _look(operation: str, about: str, answer: type[BaseModel]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "tags": ["models"],
        "summary": about,
        "responses": {
            "200": _json(about, _reference(answer)),
            "404": _json("No such model is served.", _reference(Error)),
        },
    }


def _model(inference: Inference) -> str:
    """A model goes by the name of its own route, with underscores."""
    return inference.path.split("/")[1].replace("-", "_")


def _tensor_paths(models: Mapping[str, Inference]) -> dict[str, Any]:
    """The routes of the Open Inference Protocol."""
    name = {"name": "name", "in": "path", "required": True, "schema": _STRING | {"enum": list(models)}}
    of_model: dict[str, Any] = {"parameters": [name]}
    unready = {HTTPStatus.SERVICE_UNAVAILABLE: "Not ready yet."}
    unknown = unready | {HTTPStatus.NOT_FOUND: "No such model is served."}
    paths = {
        "/v2": _tensor_look("tensor_server", "Who serves", "TensorServer"),
        "/v2/health/live": _tensor_look("tensor_server_live", "The service is alive", "TensorLive"),
        "/v2/health/ready": _tensor_look("tensor_server_ready", "All models can answer", "TensorReady", unready),
        "/v2/models/{name}": of_model
        | _tensor_look("tensor_model", "What a model takes and gives", "TensorModel", unknown),
        "/v2/models/{name}/ready": of_model
        | _tensor_look("tensor_model_ready", "A model can answer", "TensorReady", unknown),
    }
    return paths | {f"/v2/models/{model}/infer": {"post": _infer(model, models[model])} for model in models}


def _tensor_look(
    operation: str, about: str, answer: str, errors: Mapping[HTTPStatus, str] | None = None
) -> dict[str, Any]:
    responses = {"200": _json(about, _schema(answer)), **_errors(errors or {}, "TensorError")}
    return {"get": {"operationId": operation, "tags": ["tensors"], "summary": about, "responses": responses}}


def _infer(model: str, inference: Inference) -> dict[str, Any]:
    example = _tensor_example(inference)
    return {
        "operationId": f"infer_{model}",
        "tags": ["tensors"],
        "summary": f"Ask {model} in tensors",
        "description": "By the Open Inference Protocol. With its binary tensor data extension, values may also stand "
        "behind the JSON as plain bytes, in the request and in the answer.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _schema("InferRequest"), "example": example}},
        },
        "responses": {
            "200": _json("The outputs that were asked for.", _schema("InferAnswer")),
            **_errors(_TENSOR_ERRORS, "TensorError"),
        },
    }


def _tensor_example(inference: Inference) -> dict[str, Any]:
    """The example of a model's own route in tensors: what it has a list of, or all its features."""
    ((row,),) = _example(inference.request).values()
    lists = [(name, value) for name, value in row.items() if isinstance(value, list)]
    name, values = lists[0] if lists else ("features", list(row.values()))
    return {"inputs": [{"name": name, "shape": [1, len(values)], "datatype": "FP32", "data": values}]}


def _probe(path: str, about: str) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": about, "content": {"text/plain": {"schema": {"type": "string"}}}}
    }
    if path == "/readyz":
        responses["503"] = _json("The models can't answer yet.", _reference(Error))
    return {"operationId": path.strip("/"), "tags": ["operations"], "summary": about, "responses": responses}


def _example(request: type[BaseModel]) -> Any:
    extra: Any = request.model_config["json_schema_extra"]  # pydantic's own schema has its keys sorted
    return extra["examples"][0]


def _errors(errors: Mapping[HTTPStatus, str], shape: str) -> dict[str, Any]:
    return {str(status.value): _json(about, _schema(shape)) for status, about in errors.items()}


def _json(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return _schema(model.__name__)
