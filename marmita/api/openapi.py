"""The OpenAPI document, generated from the contracts.

BentoML generates one too. It drops units, ranges and examples, uses JSON Schema that OpenAPI 3.0 does not allow, and
omits the routes that are not its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from bentoml.exceptions import BentoMLConfigException
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from marmita.api import tables
from marmita.api.operations import KEY, Operation
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
    """A finished document, with the interface of BentoML's own."""

    content: dict[str, Any]

    def asdict(self) -> dict[str, Any]:
        return self.content


yaml.add_representer(Document, lambda dumper, document: dumper.represent_dict(document.content))


def build(
    title: str,
    about: str,
    version: str,
    inferences: Sequence[Inference],
    operations: Sequence[Operation],
    *,
    serves_tables: bool = False,
) -> Document:
    """Build the OpenAPI document of a service with these routes."""
    requests: set[type[BaseModel]] = {one.request for one in inferences}
    answers: set[type[BaseModel]] = {Error, *(one.answer for one in inferences)}
    if serves_tables:
        answers.update(tables.ANSWERS)
    for operation in operations:
        requests |= {taken for taken in (operation.request, operation.form) if taken}
        answers |= {operation.answer, operation.error}
    models = sorted(requests | answers, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation" if model in requests else "serialization") for model in models],
        by_alias=False,
        ref_template="#/components/schemas/{model}",
    )
    _check_names(models, schemas["$defs"])
    paths: dict[str, Any] = tables.document() if serves_tables else {}
    paths |= {inference.path: {"post": _inference(inference)} for inference in inferences}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = operation.document()
    paths |= document.paths({one.model: one for one in inferences if one.many})
    paths |= {path: {"get": _probe(path, about)} for path, about in _PROBES.items()}
    content = {
        "openapi": "3.1.0",
        "info": {"title": title, "description": about, "version": version},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"] | document.SCHEMAS,
            "securitySchemes": {"key": KEY},
        },
    }
    return Document(json.loads(json.dumps(content)))  # a deep copy: YAML would write shared objects as references


def _check_names(models: Sequence[type[BaseModel]], schemas: Mapping[str, Any]) -> None:
    """Raise an error if two classes have one name, as the document refers to a schema by name."""
    for name in [model.__name__ for model in models if model.__name__ not in schemas]:
        where = ", ".join(sorted(model.__module__ for model in models if model.__name__ == name))
        raise BentoMLConfigException(f"two classes are called {name}, in {where}: rename a row")


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
        "requestBody": {"required": True, "content": _bodies(inference)},
        "responses": {
            "200": _with_csv(inference, json_of(about, answer)),
            **errors(ERRORS, Error.__name__),
        },
    }


def _bodies(inference: Inference) -> dict[str, Any]:
    bodies = {"application/json": {"schema": reference(inference.request), "example": example(inference.request)}}
    if inference.csv:
        bodies["text/csv"] = {"schema": {"type": "string"}, "example": inference.csv}
    return bodies


def _with_csv(inference: Inference, response: dict[str, Any]) -> dict[str, Any]:
    if inference.csv:
        response["content"]["text/csv"] = {"schema": {"type": "string"}}
    return response


def _probe(path: str, about: str) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": about, "content": {"text/plain": {"schema": {"type": "string"}}}}
    }
    if path == "/readyz":
        responses["503"] = json_of("The models can't answer yet.", reference(Error))
    return {"operationId": path.strip("/"), "tags": ["operations"], "summary": about, "responses": responses}
