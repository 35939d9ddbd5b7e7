"""Calls, replies and routes: what the request path hands on, whatever asks and whoever answers."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

from pydantic_core import to_json
from starlette.types import Scope

JSON = b"application/json"
BYTES = b"application/octet-stream"
JSON_ONLY = (JSON,)
JSON_OR_BYTES = (JSON, BYTES)

Headers = tuple[tuple[bytes, bytes], ...]


class Call(NamedTuple):
    """A request whose body has been read."""

    scope: Scope
    headers: Mapping[bytes, bytes]
    body: bytes


class Reply(NamedTuple):
    """An answer that is ready to be sent."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


Handler = Callable[[Call], Awaitable[Reply]]


class Route(NamedTuple):
    """What is at a path: the verb, what the body may be, and who answers."""

    method: str
    handle: Handler
    media_types: tuple[bytes, ...] = JSON_ONLY

    def allows(self, method: str) -> bool:
        return method == self.method or (method == "HEAD" and self.method == "GET")


def json_reply(content: object, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status.value, to_json(content))
