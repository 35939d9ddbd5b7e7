"""The front of the house: what every request passes before BentoML sees it, and every answer on its way out.

A request gets an id, must ask for something that is here, and gets a bound on its body and a look at its media type.
An answer gets the id, errors get their one shape, and the access log gets a line.
"""

import logging
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from time import perf_counter

from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marmita.contract.answers import Error
from marmita.contract.errors import RequestError, unified
from marmita.hooks import LifespanHook
from marmita.oip.routes import TensorRoutes
from marmita.settings import Settings
from marmita.telemetry import logs, metrics
from marmita.web.access_log import AccessLog
from marmita.web.lifespan import live
from marmita.web.request_body import FULL, RequestBodies, replay
from marmita.web.shutdown import FrontShutdown, GracefulShutdown, RunnerShutdown

_REQUEST_ID = logs.REQUEST_ID.encode()
_GOOD_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_READY = ("/readyz", "/v2/health/ready")
_PROBES = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_SMALL = 65_536
_TRY_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_JSON = (b"application/json",)
_TENSORS = (b"application/json", b"application/octet-stream")


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
    """An ASGI application around another one that has something at these paths and nowhere else.

    Beside it are the tensor routes, which need nothing of what BentoML's stack adds.
    """

    def __init__(
        self,
        app: ASGIApp,
        paths: Collection[str],
        settings: Settings,
        tensors: TensorRoutes | None = None,
        most: float = math.inf,
        hooks: Sequence[LifespanHook] = (),
        listens_at: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        self._apps: dict[str, ASGIApp] = dict.fromkeys(paths, app)
        if tensors:
            self._apps |= dict.fromkeys(tensors.paths, tensors)
        self._tensors = tensors
        self._app = app
        self._bodies = RequestBodies(settings)
        self._most = most
        self._in_progress = 0
        self._log = AccessLog()
        self._drain = FrontShutdown(listens_at)
        self._companions = (*hooks, self._log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await live(self._app, self._drain, self._companions, scope, receive, send)
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start = perf_counter()
        path, headers = scope["path"], dict(scope["headers"])
        given = headers.get(_REQUEST_ID, b"").decode("latin-1")
        id = given if _GOOD_ID.fullmatch(given) else os.urandom(16).hex()
        if self._in_progress >= self._most and scope["method"] in _WITH_BODY and _is_small(headers):
            return await self._turn_away(scope, send, id, start)
        logs.request_id.set(id)
        answer = _Answer(send, id, self._drain, in_full=not _for_tensors(path))
        held = asks = 0
        try:
            app = self._apps.get(path) or self._tensors_at(path)
            if app is None:
                raise RequestError(HTTPStatus.NOT_FOUND, "there is nothing at this path")
            if path == "/metrics":
                metrics.write()
            if self._drain.begun and path in _READY:
                raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the service is about to end")
            if scope["method"] in _WITH_BODY:
                body = await self._bodies.read(headers, receive, _TENSORS if app is self._tensors else _JSON)
                held = len(body)
                receive = replay(body, receive)
                if self._in_progress >= self._most:
                    raise RequestError(HTTPStatus.TOO_MANY_REQUESTS, FULL)
                asks = 1
                self._in_progress += asks
            await app(scope, receive, answer)
        except RequestError as refused:
            metrics.refused(refused.status)
            await answer.refuse(refused.status, refused.error)
        except Exception:
            logging.getLogger("bentoml.marmita").exception("a request failed")
            if answer.started:
                raise
            await answer.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error, see the server's log")
        finally:
            self._bodies.release(held)
            self._in_progress -= asks
            if path not in _PROBES or answer.status >= HTTPStatus.BAD_REQUEST:
                self._log.note(scope, id, answer.status, perf_counter() - start)

    def _tensors_at(self, path: str) -> ASGIApp | None:
        return self._tensors if self._tensors and self._tensors.find(path) else None

    async def _turn_away(self, scope: Scope, send: Send, id: str, start: float) -> None:
        """Refuse, at the least cost: who is asked for far more than it can give must not spend itself on saying no."""
        status = HTTPStatus.TOO_MANY_REQUESTS.value
        metrics.refused(status)
        headers, body = _FULL_IN_SHORT if _for_tensors(scope["path"]) else _FULL_IN_FULL
        await send({"type": "http.response.start", "status": status, "headers": [*headers, (_REQUEST_ID, id.encode())]})
        await send({"type": "http.response.body", "body": body})
        self._log.note(scope, id, status, perf_counter() - start)


def _for_tensors(path: str) -> bool:
    return path == "/v2" or path.startswith("/v2/")


def _is_small(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body need not be read before the answer: uvicorn reads it after that, and throws it away."""
    size = headers.get(b"content-length", b"")
    return size.isdigit() and int(size) <= _SMALL


def _full(error: Mapping[str, object]) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = to_json(error)
    size = b"%d" % len(body)
    return [(b"content-type", b"application/json"), (b"content-length", size), (b"retry-after", b"1")], body


_FULL_IN_FULL, _FULL_IN_SHORT = _full({"error": FULL, "detail": []}), _full({"error": FULL})


class Inner:
    """Around a runner that lives in a process of its own: takes over the id of the request that the front door has."""

    def __init__(self, app: ASGIApp, tensors: TensorRoutes | None = None, hooks: Sequence[LifespanHook] = ()) -> None:
        self._app = app
        self._tensors = tensors
        self._drain = RunnerShutdown()
        self._companions = hooks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(self._app, self._drain, self._companions, scope, receive, send)
        elif scope["type"] == "http":
            self._take_over_id(scope)
            app = self._tensors if self._tensors and self._tensors.find(scope["path"]) else self._app
            await app(scope, receive, send)

    def _take_over_id(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        id: object = headers.get(logs.REQUEST_ID)
        if id is None:
            id = baggage.get_baggage(logs.REQUEST_ID, W3CBaggagePropagator().extract(headers))
        logs.request_id.set(id if isinstance(id, str) else None)


class _Answer:
    """Passes one answer on, with the request's id. An error is held until it is whole, and put into our shape: in full,
    or only its sentence, as the Open Inference Protocol wants it.
    """

    def __init__(self, send: Send, id: str, drain: GracefulShutdown, in_full: bool) -> None:
        self._send = send
        self._id = id
        self._drain = drain
        self._in_full = in_full
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
            headers = list(message.get("headers", []))
            headers.append((_REQUEST_ID, self._id.encode()))
            if self._drain.begun:
                headers.append((b"connection", b"close"))
            if self.status >= HTTPStatus.BAD_REQUEST:
                self._held = []
                self._headers = headers
                return
            message = {**message, "headers": headers}
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
        self._headers = [(_REQUEST_ID, self._id.encode())]
        if status != HTTPStatus.TOO_MANY_REQUESTS or self._drain.begun:
            self._headers.append((b"connection", b"close"))
        await self._say(Error(error=error, detail=[]))

    async def _say(self, error: Error) -> None:
        said = error.model_dump_json() if self._in_full else error.model_dump_json(include={"error"})
        response = Response(said, self.status, media_type="application/json")
        kept = [(k, v) for k, v in self._headers if k.lower() not in (b"content-length", b"content-type")]
        if self.status in _TRY_AGAIN:
            kept.append((b"retry-after", b"1"))
        self.started = self._finished = True
        await self._send(
            {"type": "http.response.start", "status": self.status, "headers": [*kept, *response.raw_headers]}
        )
        await self._send({"type": "http.response.body", "body": response.body})
