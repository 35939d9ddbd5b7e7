"""Calls, replies, handlers and routes: the types of the request path."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, Protocol

from pydantic_core import to_json
from starlette.types import Scope

JSON = b"application/json"
BYTES = b"application/octet-stream"
FORM = b"multipart/form-data"
JSON_ONLY = (JSON,)
JSON_OR_BYTES = (JSON, BYTES)

Headers = tuple[tuple[bytes, bytes], ...]


class Sink(Protocol):
    """The destination of a file's content. Closing it discards what was not kept."""

    def write(self, block: bytes) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class FormFile:
    """A file of a form."""

    name: str
    """The name of the file on the sender's machine, without folders."""
    media_type: str
    sink: Sink


@dataclass(frozen=True)
class Form:
    """The parts of a form by their names. Empty texts, and file fields without a file, count as not sent."""

    texts: Mapping[str, str]
    files: Mapping[str, FormFile]

    def close(self) -> None:
        for file in self.files.values():
            file.sink.close()


class Call(NamedTuple):
    """A request whose body has been read."""

    scope: Scope
    headers: Mapping[bytes, bytes]
    body: bytes
    form: Form | None = None
    """The body of an upload, which is no bytes."""


class Reply(NamedTuple):
    """A serialized answer with its status and headers."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


Handler = Callable[[Call], Awaitable[Reply]]
"""A function that answers a call."""

FormReceiver = Callable[[Call, AsyncIterator[bytes]], Awaitable[Form]]
"""A function that reads the body of an upload, block by block, before the call is answered."""


class Route(NamedTuple):
    """A route: its method, its handler and the media types of its body."""

    method: str
    handle: Handler
    media_types: tuple[bytes, ...] = JSON_ONLY
    receive: FormReceiver | None = None
    """Reads the body of an upload, which may be too large for memory. Without it, the body is read whole."""

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
