"""Calls, replies, handlers and routes: the types of the request path."""

import re
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


class RouteTemplate:
    """Routes with names in their path, such as `/models/{name}/predict`."""

    def __init__(self, template: str, patterns: Mapping[str, str], route_of: Callable[..., Route]) -> None:
        self.template = template
        self._route_of = route_of
        pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
        for name, one in patterns.items():
            pattern = pattern.replace(f"{{{name}}}", f"(?P<{name}>{one})")
        self._match = re.compile(pattern).fullmatch

    def find(self, path: str) -> Route | None:
        """Return the route at a path, made with the names in it."""
        found = self._match(path)
        return self._route_of(**found.groupdict()) if found else None


def json_reply(content: object, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status.value, to_json(content))
