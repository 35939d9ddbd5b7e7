"""The front of the house: what every request passes before BentoML sees it, and every answer on its way out.

A request gets an id, a bound on its body and a look at its media type. An answer gets the id, errors get their one
shape, and the access log gets a line.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Collection
from http import HTTPStatus
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marmita import logs
from marmita.contract import Error
from marmita.errors import unified
from marmita.settings import Settings

REQUEST_ID = "x-request-id"
_GOOD_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_PROBES = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
_DRAIN = 8
"""A body that is too large is read up to so many times the limit and thrown away: most clients listen only after they
have sent everything, and would see a broken connection in place of the error."""

access = logging.getLogger("bentoml.access")


class RefusedError(Exception):
    """A request that goes no further."""

    def __init__(self, status: HTTPStatus, error: str) -> None:
        self.status = status
        self.error = error


class Front:
    """An ASGI application around another one. `routes` are the paths that take a JSON body."""

    def __init__(self, app: ASGIApp, routes: Collection[str], settings: Settings) -> None:
        self._app = app
        self._routes = frozenset(routes)
        self._max_body = settings.max_body_bytes
        self._body_timeout = settings.body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start = perf_counter()
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID, "")
        id = given if _GOOD_ID.fullmatch(given) else uuid.uuid4().hex
        logs.request_id.set(id)
        answer = _Answer(send, id)
        try:
            if scope["method"] == "POST" and scope["path"] in self._routes:
                receive = await self._body(headers, receive)
            await self._app(scope, receive, answer)
        except RefusedError as refused:
            await answer.refuse(refused.status, refused.error)
        except Exception:
            logging.getLogger("bentoml.marmita").exception("a request failed")
            if answer.started:
                raise
            await answer.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error, see the server's log")
        finally:
            if scope["path"] not in _PROBES or answer.status >= HTTPStatus.BAD_REQUEST:
                _log(scope, answer.status, perf_counter() - start)

    async def _body(self, headers: Headers, receive: Receive) -> Receive:
        """Read the whole body, within bounds, and hand it on as one message."""
        media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be application/json, not {media_type[:100]}"
            )
        if headers.get("content-encoding", "identity") != "identity":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
        try:
            async with asyncio.timeout(self._body_timeout):
                body = await self._read(headers, receive)
        except TimeoutError:
            raise RefusedError(
                HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {self._body_timeout:g} s"
            ) from None

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message: Message = {"type": "http.request", "body": body, "more_body": False}
            body = None
            return message

        return replay

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        declared = headers.get("content-length", "")
        waits_for_us = headers.get("expect", "").lower() == "100-continue"
        if waits_for_us and declared.isdigit() and int(declared) > self._max_body:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        more = True
        while more and size <= _DRAIN * self._max_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(HTTPStatus.BAD_REQUEST, "the client left before its body was complete")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= self._max_body:
                chunks.append(chunk)
            else:
                chunks.clear()
            more = message.get("more_body", False)
        if size > self._max_body:
            raise self._too_large()
        return b"".join(chunks)

    def _too_large(self) -> RefusedError:
        return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {self._max_body} bytes")


class _Answer:
    """Passes an answer on, with the request's id. An error is held until it is whole, and put into our shape."""

    def __init__(self, send: Send, id: str) -> None:
        self._send = send
        self._id = id
        self._held: list[bytes] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self.status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self._id
            if self.status >= HTTPStatus.BAD_REQUEST:
                self._held = []
                self._headers = headers.raw
                return
        elif self._held is not None:
            self._held.append(message.get("body", b""))
            if not message.get("more_body", False):
                self.status, error = unified(self.status, b"".join(self._held))
                await self._say(error)
            return
        self.started = True
        await self._send(message)

    async def refuse(self, status: HTTPStatus, error: str) -> None:
        """Answer in the place of the application. The rest of the body is not waited for."""
        self.status = status.value
        self._headers = [(REQUEST_ID.encode(), self._id.encode()), (b"connection", b"close")]
        await self._say(Error(error=error, detail=[]))

    async def _say(self, error: Error) -> None:
        response = Response(error.model_dump_json(), self.status, media_type="application/json")
        kept = [(k, v) for k, v in self._headers if k.lower() not in (b"content-length", b"content-type")]
        self.started = True
        await self._send(
            {"type": "http.response.start", "status": self.status, "headers": [*kept, *response.raw_headers]}
        )
        await self._send({"type": "http.response.body", "body": response.body})


def _log(scope: Scope, status: int, seconds: float) -> None:
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(seconds * 1000, 2),
        "client": scope["client"][0] if scope.get("client") else None,
    }
    access.info("%s %s %d", scope["method"], scope["path"], status, extra={"fields": fields})
