"""What all parts of the OpenAPI document are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

ERRORS = {
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
    """A route that asks a model: one `request` comes in, an `answer` goes out, as a rule for each of its rows."""

    model: str
    path: str
    operation: str
    about: str
    request: type[BaseModel]
    answer: type[BaseModel]
    many: bool = True
    """Whether there is an answer for each row, or just one."""


def example(request: type[BaseModel]) -> Any:
    extra: Any = request.model_config["json_schema_extra"]  # pydantic's own schema has its keys sorted
    return extra["examples"][0]


def errors(told: Mapping[HTTPStatus, str], shape: str) -> dict[str, Any]:
    return {str(status.value): json_of(about, schema(shape)) for status, about in told.items()}


def json_of(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def reference(model: type[BaseModel]) -> dict[str, Any]:
    return schema(model.__name__)


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
