"""The front of the house: what every request passes before BentoML sees it, and every answer on its way out.

A request gets an id, must ask for something that is here, and gets a bound on its body and a look at its media type.
An answer gets the id, errors get their one shape, and the access log gets a line.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Collection, Iterable
from http import HTTPStatus
from pathlib import Path
from time import perf_counter

from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marmita import logs, metrics
from marmita.contract import Error
from marmita.drain import DoorsDrain, Drain, RunnersDrain
from marmita.errors import unified
from marmita.settings import Settings

_GOOD_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_PROBES = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_TRY_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_DRAIN = 8
"""A body that is too large is read up to so many times the limit and thrown away: most clients listen only after they
have sent everything, and would see a broken connection in place of the error."""
_HELD = 8
"""The bodies of all requests together may take so many times what one may."""

access = logging.getLogger("bentoml.access")


class RefusedError(Exception):
    """A request that goes no further."""

    def __init__(self, status: HTTPStatus, error: str) -> None:
        self.status = status
        self.error = error


def paths(routes: Iterable[BaseRoute]) -> set[str]:
    """All paths at which there is something. Their number is fixed: so is that of the metrics' labels."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route):
            found.add(route.path)
        elif isinstance(route, Mount) and isinstance(route.app, Starlette):
            found |= {route.path + path for path in paths(route.app.routes)}
        elif isinstance(route, Mount) and isinstance(route.app, StaticFiles):
            found |= {f"{route.path}/{file.name}" for file in Path(str(route.app.directory)).iterdir()}
    return found


class Front:
    """An ASGI application around another one that has something at these paths and nowhere else."""

    def __init__(self, app: ASGIApp, paths: Collection[str], settings: Settings) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._max_body = settings.max_body_bytes
        self._body_timeout = settings.body_timeout_s
        self._held = 0
        self._drain = DoorsDrain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._drain.stand_by()
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start = perf_counter()
        headers = Headers(scope=scope)
        given = headers.get(logs.REQUEST_ID, "")
        id = given if _GOOD_ID.fullmatch(given) else uuid.uuid4().hex
        logs.request_id.set(id)
        answer = _Answer(send, id, self._drain)
        held = 0
        try:
            if scope["path"] not in self._paths:
                raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing at this path")
            if self._drain.begun and scope["path"] == "/readyz":
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "the service is about to end")
            if scope["method"] in _WITH_BODY:
                body = await self._body(headers, receive)
                held = len(body)
                receive = _replay(body, receive)
            await self._app(scope, receive, answer)
        except RefusedError as refused:
            metrics.refused(refused.status)
            await answer.refuse(refused.status, refused.error)
        except Exception:
            logging.getLogger("bentoml.marmita").exception("a request failed")
            if answer.started:
                raise
            await answer.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error, see the server's log")
        finally:
            self._held -= held
            if scope["path"] not in _PROBES or answer.status >= HTTPStatus.BAD_REQUEST:
                _log(scope, answer.status, perf_counter() - start)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """Read the whole body, within bounds. It counts as held until its request is answered."""
        media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be application/json, not {media_type[:100]}"
            )
        if headers.get("content-encoding", "identity") != "identity":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
        declared = headers.get("content-length", "")
        waits_for_us = headers.get("expect", "").lower() == "100-continue"
        if waits_for_us and declared.isdigit() and int(declared) > self._max_body:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._body_timeout):
                return await self._read(receive)
        except TimeoutError:
            raise RefusedError(
                HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {self._body_timeout:g} s"
            ) from None

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = kept = 0
        more = True
        try:
            while more and size <= _DRAIN * self._max_body:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(HTTPStatus.BAD_REQUEST, "the client left before its body was complete")
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                if size > self._max_body:
                    self._held -= kept
                    kept = 0
                    chunks.clear()
                    continue
                if self._held + len(chunk) > _HELD * self._max_body:
                    raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "the service is full: try again in a moment")
                self._held += len(chunk)
                kept += len(chunk)
                chunks.append(chunk)
            if size > self._max_body:
                raise self._too_large()
        except BaseException:
            self._held -= kept
            raise
        return b"".join(chunks)

    def _too_large(self) -> RefusedError:
        return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {self._max_body} bytes")


class Inner:
    """Around a runner that lives in a process of its own: takes over the id of the request that the front door has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._drain = RunnersDrain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._drain.stand_by()
        if scope["type"] == "http":
            carried = W3CBaggagePropagator().extract(Headers(scope=scope))
            id = baggage.get_baggage(logs.REQUEST_ID, carried)
            logs.request_id.set(id if isinstance(id, str) else None)
        await self._app(scope, receive, send)


class _Answer:
    """Passes one answer on, with the request's id. An error is held until it is whole, and put into our shape."""

    def __init__(self, send: Send, id: str, drain: Drain) -> None:
        self._send = send
        self._id = id
        self._drain = drain
        self._held: list[bytes] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._finished = False
        self.status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        self.started = False

    async def __call__(self, message: Message) -> None:
        if self._finished:
            return  # a request that was answered with a 504 may still come to its own end
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[logs.REQUEST_ID] = self._id
            if self._drain.begun:
                headers["connection"] = "close"
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
        self._finished = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def refuse(self, status: HTTPStatus, error: str) -> None:
        """Answer in the place of the application. The rest of the body is not waited for."""
        self.status = status.value
        self._headers = [(logs.REQUEST_ID.encode(), self._id.encode()), (b"connection", b"close")]
        await self._say(Error(error=error, detail=[]))

    async def _say(self, error: Error) -> None:
        response = Response(error.model_dump_json(), self.status, media_type="application/json")
        kept = [(k, v) for k, v in self._headers if k.lower() not in (b"content-length", b"content-type")]
        if self.status in _TRY_AGAIN:
            kept.append((b"retry-after", b"1"))
        self.started = self._finished = True
        await self._send(
            {"type": "http.response.start", "status": self.status, "headers": [*kept, *response.raw_headers]}
        )
        await self._send({"type": "http.response.body", "body": response.body})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand a body on as one message."""
    left: bytes | None = body

    async def replay() -> Message:
        nonlocal left
        if left is None:
            return await receive()
        message: Message = {"type": "http.request", "body": left, "more_body": False}
        left = None
        return message

    return replay


def _log(scope: Scope, status: int, seconds: float) -> None:
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(seconds * 1000, 2),
        "client": scope["client"][0] if scope.get("client") else None,
    }
    access.info("%s %s %d", scope["method"], scope["path"], status, extra={"fields": fields})
