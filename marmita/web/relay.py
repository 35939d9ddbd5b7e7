"""An HTTP client for runners in other processes, over persistent connections.

A general client library costs as much per call as the model, the contract and the batch together
(`docs/performance.md`), and the answers of our own servers need little of it. httptools parses them, as it parses
uvicorn's requests.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Any, NamedTuple

import httptools

_FRESH_S = 2.0
"""The longest idle time after which a connection is reused. uvicorn closes it after five idle seconds, and a request
sent at that moment would be lost."""
_FIRST_FINAL = 200


class Response(NamedTuple):
    """The answer of a server."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class RelayError(Exception):
    """An error of the connection: the server is unreachable, or closed it before the answer."""


class NotSentError(RelayError):
    """An error before the server read the request: it had closed the idle connection. A retry is safe."""


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.is_open = False
        self.is_used = False
        """Whether it has carried a request before."""
        self._transport: Any = None
        self._answer: asyncio.Future[Response] | None = None
        self._parser: Any = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    async def ask(self, request: bytes) -> Response:
        """Send a request and wait for its answer. Cancellation closes the connection."""
        if not self.is_open:
            raise NotSentError("the connection is closed")
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        kind = NotSentError if isinstance(exc, BrokenPipeError) else RelayError
        self._fail(kind(f"the connection was closed: {exc or 'by the server'}"))

    def eof_received(self) -> None:
        self.is_open = False

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # the server sent data without a request
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(RelayError(f"the answer is not valid HTTP: {error}"))
            self.close()

    def on_message_begin(self) -> None:
        self._headers, self._body = [], []
        if (
            self._answer is None or self._answer.done()
        ):  # a second answer to one request: the next answer would be ambiguous
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL:  # an interim response, which our servers never send
            self._fail(RelayError(f"unexpected interim response: {status}"))
        elif self._answer is not None and not self._answer.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._answer.set_result(Response(status, self._headers, body))

    def _fail(self, error: RelayError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Relay:
    """A pool of connections to one server, one for each concurrent request."""

    def __init__(self, *, path: str | None = None, host: str = "", port: int = 0) -> None:
        self._path = path
        self._host, self._port = host, port
        self._idle: deque[Connection] = deque()

    async def ask(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Response:
        """Send a request and return the answer. Raises `RelayError` if there is none."""
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        start = f"{method} {path} HTTP/1.1\r\nhost: runner\r\ncontent-length: {len(body)}\r\n".encode("latin-1")
        request = b"".join((start, head, b"\r\n", body))
        connection = self._reuse() or await self._open()
        try:
            response = await connection.ask(request)
        except NotSentError:
            if not connection.is_used:
                raise
            connection = await self._open()
            response = await connection.ask(request)
        connection.is_used = True
        if connection.is_open:
            connection.idle_since = monotonic()
            self._idle.append(connection)
        return response

    def _reuse(self) -> Connection | None:
        """Return the connection that was used last, and close those that are idle for longer than `_FRESH_S`."""
        stale = monotonic() - _FRESH_S
        while self._idle and self._idle[0].idle_since < stale:
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            if self._path is not None:
                _, connection = await loop.create_unix_connection(Connection, self._path)
            else:
                _, connection = await loop.create_connection(Connection, self._host, self._port)
        except OSError as error:
            raise RelayError(f"the runner can't be reached: {error}") from error
        return connection
