"""Operations: the routes of the JSON API, declared once for the router and for OpenAPI."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from marmita.api.auth import ApiKeys
from marmita.contract.answers import Answer, Error
from marmita.contract.errors import RequestError
from marmita.contract.openapi import errors, example, json_of, reference
from marmita.contract.requests import RequestBody
from marmita.records.database.database import Database
from marmita.runtime.slot import ModelSlot

Handler = Callable[[Request], Awaitable[Answer | bytes]]
"""What answers a request: an answer, or its JSON."""

INVALID = {HTTPStatus.BAD_REQUEST: "Something is wrong with what was asked: it is named."}
UNAVAILABLE = {HTTPStatus.SERVICE_UNAVAILABLE: "The database can't be used now."}
NO_KEY = {HTTPStatus.UNAUTHORIZED: "A key is needed."}
KEY = {"type": "http", "scheme": "bearer", "description": "One of MARMITA_API_KEYS; none is needed if there are none."}

T = TypeVar("T")


@dataclass(frozen=True)
class Api:
    """What operations have at hand."""

    models: Sequence[str]
    slot: Callable[[str], ModelSlot]
    """What this process knows of a model."""
    database: Callable[[], Database]
    keys: ApiKeys


@dataclass(frozen=True)
class Operation:
    """One operation: how it is answered, and what OpenAPI says of it."""

    method: str
    path: str
    """In OpenAPI's words, such as /quality/{name}."""
    name: str
    tag: str
    about: str
    answer: type[BaseModel]
    handlers: Mapping[str, Handler]
    """What answers at each path: their number is fixed, and so is that of the metrics' labels."""
    request: type[RequestBody] | None = None
    parameters: Sequence[Mapping[str, Any]] = ()
    errors: dict[HTTPStatus, str] = field(default_factory=dict)
    keys: ApiKeys | None = None
    """The keys of which the caller must have one, if a key is needed."""

    def routes(self) -> list[Route]:
        return [Route(path, self._endpoint(handler), methods=[self.method]) for path, handler in self.handlers.items()]

    def document(self) -> dict[str, Any]:
        """Return the operation as OpenAPI has it."""
        told = self.errors | (NO_KEY if self.keys else {})
        said: dict[str, Any] = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.about,
            "responses": {"200": json_of(f"{self.about}.", reference(self.answer)), **errors(told, Error.__name__)},
        }
        if self.parameters:
            said["parameters"] = list(self.parameters)
        if self.request:
            content = {"schema": reference(self.request), "example": example(self.request)}
            said["requestBody"] = {"required": True, "content": {"application/json": content}}
        if self.keys:
            said["security"] = [{}, {"key": []}]
        return said

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if self.keys:
                self.keys.check(request)
            said = await handler(request)
            content = said if isinstance(said, bytes) else said.model_dump_json()
            return Response(content, media_type="application/json")

        return answer


def name_parameter(models: Sequence[str]) -> dict[str, Any]:
    return {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": list(models)}}


def query_parameter(name: str, about: str, example: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": about,
        "schema": {"type": "string", "examples": [example]} | schema,
    }


def query(request: Request, name: str, read: Callable[[str], T], default: T | None = None) -> T:
    """Return a parameter of the query, read."""
    text = request.query_params.get(name)
    if text is None:
        if default is not None:
            return default
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name} is missing: ?{name}=")
    try:
        return read(text)
    except ValueError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name}: {error}") from None
