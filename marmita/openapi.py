"""The OpenAPI document, written from the contracts.

BentoML writes one too, but drops units, ranges and examples, mixes JSON Schema into OpenAPI 3.0 that 3.0 does not
know, and leaves out the routes that are not its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

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


@dataclass(frozen=True)
class Inference:
    """A route that asks a model: one `request` comes in, a list with an `answer` for each row goes out."""

    path: str
    operation: str
    about: str
    request: type[BaseModel]
    answer: type[BaseModel]


@dataclass(frozen=True)
class Document:
    """A finished document, in the place where BentoML expects the one that it would write."""

    content: dict[str, Any]

    def asdict(self) -> dict[str, Any]:
        return self.content


yaml.add_representer(Document, lambda dumper, document: dumper.represent_dict(document.content))


def document(title: str, about: str, version: str, inferences: Sequence[Inference]) -> Document:
    """The document of a service with these routes."""
    models: list[type[BaseModel]] = [Error, ServedModels, ServedModelInFull]
    models += [model for inference in inferences for model in (inference.request, inference.answer)]
    requests = {inference.request for inference in inferences}
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
    paths |= {path: {"get": _probe(path, about)} for path, about in _PROBES.items()}
    return Document(
        {
            "openapi": "3.1.0",
            "info": {"title": title, "description": about, "version": version},
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {"schemas": schemas["$defs"]},
        }
    )


def _inference(inference: Inference) -> dict[str, Any]:
    answer = {"type": "array", "items": _reference(inference.answer)}
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
            "200": _json("One answer for each row, in the rows' order.", answer),
            **{str(status.value): _json(about, _reference(Error)) for status, about in _ERRORS.items()},
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


def _probe(path: str, about: str) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": about, "content": {"text/plain": {"schema": {"type": "string"}}}}
    }
    if path == "/readyz":
        responses["503"] = _json("The models can't answer yet.", _reference(Error))
    return {"operationId": path.strip("/"), "tags": ["operations"], "summary": about, "responses": responses}


def _example(request: type[BaseModel]) -> Any:
    return request.model_json_schema()["examples"][0]


def _json(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
