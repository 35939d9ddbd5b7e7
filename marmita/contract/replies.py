"""Calls, replies, handlers and routes: the types of the request path."""

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
    """A serialized answer with its status and headers."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


Handler = Callable[[Call], Awaitable[Reply]]
"""A function that answers a call."""


class Route(NamedTuple):
    """A route: its method, its handler and the media types of its body."""

    method: str
    handle: Handler
    media_types: tuple[bytes, ...] = JSON_ONLY

    def allows(self, method: str) -> bool:
        return method == self.method or (method == "HEAD" and self.method == "GET")


def json_reply(content: object, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status.value, to_json(content))
