"""The OpenAPI document, written from the contracts.

BentoML writes one too, but drops units, ranges and examples, mixes JSON Schema into OpenAPI 3.0 that 3.0 does not
know, and leaves out the routes that are not its own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from marmita.api import record_document
from marmita.api.models import ServedModelInFull, ServedModels
from marmita.contract.answers import Error
from marmita.contract.openapi import ERRORS, Inference, errors, example, json_of, reference
from marmita.oip import document

_PROBES = {
    "/healthz": "The process is alive.",
    "/livez": "The process is alive.",
    "/readyz": "The models can answer.",
    "/metrics": "Metrics in Prometheus's text format.",
}


@dataclass(frozen=True)
class Document:
    """A finished document, in the place where BentoML expects the one that it would write."""

    content: dict[str, Any]

    def asdict(self) -> dict[str, Any]:
        return self.content


yaml.add_representer(Document, lambda dumper, document: dumper.represent_dict(document.content))


def build(title: str, about: str, version: str, inferences: Sequence[Inference]) -> Document:
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
    paths |= document.paths(by_model)
    paths |= {path: {"get": _probe(path, about)} for path, about in _PROBES.items()}
    content = {
        "openapi": "3.1.0",
        "info": {"title": title, "description": about, "version": version},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"] | document.SCHEMAS,
            "securitySchemes": {"key": record_document.KEY},
        },
    }
    return Document(json.loads(json.dumps(content)))  # YAML would write what is in it twice as a reference


def _inference(inference: Inference) -> dict[str, Any]:
    answer = reference(inference.answer)
    about = "The answer."
    if inference.many:
        answer, about = {"type": "array", "items": answer}, "One answer for each row, in the rows' order."
    return {
        "operationId": inference.operation,
        "tags": ["models"],
        "summary": inference.about.partition("\n")[0],
        "description": inference.about,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": reference(inference.request), "example": example(inference.request)}
            },
        },
        "responses": {
            "200": json_of(about, answer),
            **errors(ERRORS, Error.__name__),
        },
    }


def _look(operation: str, about: str, answer: type[BaseModel]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "tags": ["models"],
        "summary": about,
        "responses": {
            "200": json_of(about, reference(answer)),
            "404": json_of("No such model is served.", reference(Error)),
        },
    }


def _model(inference: Inference) -> str:
    """A model goes by the name of its own route, with underscores."""
    return inference.path.split("/")[1].replace("-", "_")


def _probe(path: str, about: str) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": about, "content": {"text/plain": {"schema": {"type": "string"}}}}
    }
    if path == "/readyz":
        responses["503"] = json_of("The models can't answer yet.", reference(Error))
    return {"operationId": path.strip("/"), "tags": ["operations"], "summary": about, "responses": responses}
