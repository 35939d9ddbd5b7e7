"""Operations: the routes of the JSON API, declared once for the router and for OpenAPI."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.datastructures import QueryParams

from marmita.api.auth import ApiKeys
from marmita.contract.answers import Answer, Error
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.openapi import errors, example, json_of, reference
from marmita.contract.replies import (
    FORM,
    JSON_ONLY,
    Call,
    Form,
    FormReceiver,
    Handler,
    Reply,
    Route,
    RouteTemplate,
)
from marmita.contract.requests import RequestBody
from marmita.records.database.database import Database, DatabaseDownError
from marmita.registry.datasets import DatasetStore, dataset_store
from marmita.registry.tables import NAME, NAMES, TableStore
from marmita.runtime.slot import ServedVersion

OperationHandler = Callable[[Call], Awaitable[Answer | Reply]]
"""A function that handles a call, and returns an answer or a finished reply."""

INVALID = {HTTPStatus.BAD_REQUEST: "The request is invalid: the error names what is wrong."}
UNAVAILABLE = {HTTPStatus.SERVICE_UNAVAILABLE: "The database is unavailable."}
NOT_JSON = {HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The Content-Type is not application/json."}
NOT_A_FORM = {
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The Content-Type is not multipart/form-data.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The form is too large.",
    HTTPStatus.REQUEST_TIMEOUT: "The form did not arrive within the timeout.",
}
NO_KEY = {HTTPStatus.UNAUTHORIZED: "The API key is missing or wrong."}
OTHER_ORIGIN = {HTTPStatus.FORBIDDEN: "A page of another origin sent the form, and no API keys are set."}
KEY = {"type": "http", "scheme": "bearer", "description": "One of MARMITA_API_KEYS. Not needed if that is empty."}

ID = "[0-9a-f]{32}"
"""The pattern of a record's id in a path."""
DATABASE_DOWN = "the database can't be used now: try again in a moment"

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Api:
    """The dependencies of all operations."""

    models: Mapping[str, Callable[[], ServedVersion]]
    """The models with code: each with a function that returns the version that is served now."""
    contracts: Mapping[str, Mapping[str, Any]]
    """The contract of each model with code."""
    tables: TableStore
    database: Callable[[], Database]
    keys: ApiKeys
    datasets: Callable[[], DatasetStore] = dataset_store

    def names(self) -> list[str]:
        """Return the names of all models that are served now."""
        return [*self.models, *self.tables.names()]

    def find(self, name: str) -> ServedVersion:
        """Return the served version of a model. Raise an error if there is no such model."""
        if name in self.models:
            return self.models[name]()
        packed = self.tables.champion(name)
        if packed is None:
            raise RequestError(ErrorCode.MODEL_NOT_FOUND, f"there is no model {name}")
        return ServedVersion.of_table(packed)


@dataclass(frozen=True)
class Operation:
    """One operation: its handlers and its OpenAPI description."""

    method: str
    path: str
    """The path in OpenAPI's notation, such as /quality/{name}."""
    name: str
    tag: str
    about: str
    answer: type[BaseModel]
    handlers: Mapping[str, OperationHandler]
    """The handler at each path. The number of paths is fixed, which bounds the number of metric labels."""
    handler_of: Callable[..., OperationHandler] | None = None
    """Returns the handler for the names in the path, if it has names: those of table models and trainings come and
    go."""
    request: type[RequestBody] | None = None
    form: type[BaseModel] | None = None
    """The fields of the form that the operation takes in place of JSON."""
    receive: FormReceiver | None = None
    """Reads an upload as a stream. Without it, the handler reads the form from the body."""
    status: HTTPStatus = HTTPStatus.OK
    """The status of the answer."""
    parameters: Sequence[Mapping[str, Any]] = ()
    errors: dict[HTTPStatus, str] = field(default_factory=dict)
    keys: ApiKeys | None = None
    """The API keys of which the caller must send one. None: the operation needs no key."""
    has_page: bool = False
    """Whether browsers get the answer as an HTML page."""
    error: type[BaseModel] = Error
    translate: Callable[[Exception], Exception] | None = None
    """Turns an error into one of another format, which `error` describes."""

    def routes(self) -> dict[str, Route]:
        return {path: self._route(handler) for path, handler in self.handlers.items()}

    def templates(self) -> list[RouteTemplate]:
        """Return the operation's routes with names in their path, if it has any."""
        handler_of = self.handler_of
        if handler_of is None:
            return []
        return [RouteTemplate(self.path, NAMES | {"id": ID}, lambda **names: self._route(handler_of(**names)))]

    def document(self) -> dict[str, Any]:
        """Return the operation object of OpenAPI."""
        by_status = self.errors | (NO_KEY if self.keys else {}) | self._body_errors
        document: dict[str, Any] = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.about,
            "responses": {
                str(self.status.value): json_of(f"{self.about}.", reference(self.answer)),
                **errors(by_status, self.error.__name__),
            },
        }
        if self.has_page:
            document["responses"]["200"]["content"]["text/html"] = {"schema": {"type": "string"}}
        if self.parameters:
            document["parameters"] = list(self.parameters)
        if self.request:
            content = {"schema": reference(self.request), "example": example(self.request)}
            document["requestBody"] = {"required": True, "content": {"application/json": content}}
        if self.form:
            content = {"schema": reference(self.form)}
            document["requestBody"] = {"required": True, "content": {"multipart/form-data": content}}
        if self.keys:
            document["security"] = [{}, {"key": []}]
        return document

    @property
    def _body_errors(self) -> dict[HTTPStatus, str]:
        if self.form:
            return NOT_A_FORM | (OTHER_ORIGIN if self.keys else {})
        return NOT_JSON if self.method == "POST" else {}

    def _route(self, handler: OperationHandler) -> Route:
        media_types = (FORM,) if self.form else JSON_ONLY
        return Route(self.method, self._handler(handler), media_types, self.receive and self._receive)

    async def _receive(self, call: Call, blocks: AsyncIterator[bytes]) -> Form:
        assert self.receive is not None
        with self._translating():
            self._check(call)
            return await self.receive(call, blocks)

    def _handler(self, handler: OperationHandler) -> Handler:
        async def handle(call: Call) -> Reply:
            with self._translating():
                self._check(call)
                answer = await self._answer(handler, call)
            return answer if isinstance(answer, Reply) else Reply(self.status, answer.model_dump_json().encode())

        return handle

    async def _answer(self, handler: OperationHandler, call: Call) -> Answer | Reply:
        try:
            return await handler(call)
        except DatabaseDownError as error:
            log.warning("operation %s failed: database unavailable: %s", self.name, error)
            raise RequestError(ErrorCode.DATABASE_UNAVAILABLE, DATABASE_DOWN) from None

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self.translate is None:
                raise
            raise self.translate(error) from error

    def _check(self, call: Call) -> None:
        """Reject a call that must not change anything."""
        if self.method == "POST":
            _check_media_type(call)
        if self.keys:
            self.keys.check(call)
            if self.form:
                self.keys.check_origin(call)


def _check_media_type(call: Call) -> None:
    """Reject a body without a Content-Type: a page of any origin can send one without a CORS preflight."""
    if b"content-type" not in call.headers:
        raise RequestError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "the Content-Type is missing: send application/json")


NAME_PARAMETER = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{NAME}$"}}
ID_PARAMETER = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{ID}$"}}


def query_parameter(name: str, about: str, example: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": about,
        "schema": {"type": "string", "examples": [example]} | schema,
    }


def parameters(call: Call) -> QueryParams:
    return QueryParams(call.scope["query_string"])


def query(call: Call, name: str, read: Callable[[str], T], default: T | None = None) -> T:
    """Return a query parameter, parsed with `read`."""
    text = parameters(call).get(name)
    if text is None:
        if default is not None:
            return default
        raise RequestError(ErrorCode.INVALID_REQUEST, f"{name} is missing: ?{name}=")
    try:
        return read(text)
    except ValueError as error:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"{name}: {error}") from None
