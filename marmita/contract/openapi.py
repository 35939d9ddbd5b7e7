"""Building blocks of the OpenAPI document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

ERRORS = {
    HTTPStatus.BAD_REQUEST: "The body is invalid: the error names the row and the field.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive within the timeout.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large, or has too many rows.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not application/json.",
    HTTPStatus.TOO_MANY_REQUESTS: "The service is at its limit: retry later.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed unexpectedly.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The model is not ready.",
    HTTPStatus.GATEWAY_TIMEOUT: "The service did not answer within the timeout.",
}


@dataclass(frozen=True)
class Inference:
    """A typed route of a model, with the classes of its request and its answers."""

    model: str
    path: str
    operation: str
    about: str
    request: type[BaseModel]
    answer: type[BaseModel]
    many: bool = True
    """Whether the route returns an answer for each row, or one for the request."""
    csv: str = ""
    """An example of the rows in CSV, if the route takes it."""
    tensors: Sequence[Mapping[str, Any]] = ()
    """An example of the rows as tensors; empty if it follows from that of the request."""


def example(request: type[BaseModel]) -> Any:
    extra: Any = request.model_config["json_schema_extra"]  # pydantic's own schema has its keys sorted
    return extra["examples"][0]


def errors(by_status: Mapping[HTTPStatus, str], shape: str) -> dict[str, Any]:
    return {str(status.value): json_of(about, schema(shape)) for status, about in by_status.items()}


def json_of(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def reference(model: type[BaseModel]) -> dict[str, Any]:
    return schema(model.__name__)


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
