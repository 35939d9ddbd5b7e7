"""The middleware of the fronts, one class for each concern."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from time import perf_counter

from starlette.types import ASGIApp, Message

from marmita.contract.errors import ErrorCode, RequestError, error_reply, status_reply
from marmita.contract.replies import JSON_ONLY, Call, Form, Reply
from marmita.oip.routes import has_error_details
from marmita.telemetry import logs, metrics
from marmita.web.access_log import AccessLog
from marmita.web.exchange import Exchange
from marmita.web.lane import Lane, RouteMatch
from marmita.web.load import Load
from marmita.web.request_body import FULL, RequestBodies, replayed
from marmita.web.uploads import Uploads

Next = Callable[[Exchange], Awaitable[None]]
"""The next middleware. It has answered the request when it returns."""

READY = frozenset({"/readyz", "/v2/health/ready"})
PROBES = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_SMALL = 65_536


class AccessLogging:
    """Middleware that writes an access log line for each request, and for each probe that fails."""

    def __init__(self, inner: Next, log: AccessLog) -> None:
        self._inner = inner
        self._log = log

    async def __call__(self, exchange: Exchange) -> None:
        start = perf_counter()
        try:
            await self._inner(exchange)
        finally:
            status = exchange.status or HTTPStatus.INTERNAL_SERVER_ERROR.value
            if status >= HTTPStatus.BAD_REQUEST or exchange.path not in PROBES:
                self._log.note(exchange.scope, exchange.id, status, perf_counter() - start)


class LoadShedding:
    """Middleware that rejects requests with 429 while the worker is at its limit.

    A rejection costs as little as possible, so that an overloaded worker keeps its time for the accepted requests.
    """

    def __init__(self, inner: Next, load: Load) -> None:
        self._inner = inner
        self._load = load
        full = RequestError(ErrorCode.OVERLOADED, FULL)
        self._with_details, self._without_details = error_reply(full), error_reply(full, with_details=False)

    async def __call__(self, exchange: Exchange) -> None:
        if self._load.is_full and exchange.method in WITH_BODY and _is_small(exchange.headers):
            metrics.rejected(HTTPStatus.TOO_MANY_REQUESTS.value)
            await exchange.reply(self._with_details if has_error_details(exchange.path) else self._without_details)
        else:
            await self._inner(exchange)


def _is_small(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a body is so small that uvicorn reads and discards it after the answer."""
    size = headers.get(b"content-length", b"")
    return size.isdigit() and int(size) <= _SMALL


class ErrorReplies:
    """Middleware that turns exceptions into error replies."""

    def __init__(self, inner: Next) -> None:
        self._inner = inner

    async def __call__(self, exchange: Exchange) -> None:
        try:
            await self._inner(exchange)
        except RequestError as rejected:
            metrics.rejected(rejected.status)
            # A rejected body may be unread: the connection can't be reused without reading the rest.
            exchange.ends_connection = rejected.status != HTTPStatus.TOO_MANY_REQUESTS
            await exchange.reply(error_reply(rejected, has_error_details(exchange.path)))
        except Exception as error:
            if exchange.status:
                raise
            exchange.ends_connection = True
            await exchange.reply(error_reply(error, has_error_details(exchange.path)))


class Draining:
    """Middleware that fails the readiness probes while the worker drains."""

    def __init__(self, inner: Next, is_draining: Callable[[], bool]) -> None:
        self._inner = inner
        self._is_draining = is_draining

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.path in READY and self._is_draining():
            raise RequestError(ErrorCode.SHUTTING_DOWN, "the service is shutting down")
        await self._inner(exchange)


class Dispatch:
    """The end of the middleware: passes a request to the lane or to BentoML's application.

    BentoML's application has the OpenAPI document, static files, and routes that a service declares with BentoML's API.
    """

    def __init__(
        self,
        lane: Lane,
        bodies: RequestBodies,
        uploads: Uploads,
        load: Load,
        app: ASGIApp,
        paths: Collection[str] = (),
    ) -> None:
        self._lane = lane
        self._bodies = bodies
        self._uploads = uploads
        self._load = load
        self._app = app
        self._paths = frozenset(paths)

    async def __call__(self, exchange: Exchange) -> None:
        logs.request_id.set(exchange.id)
        found = self._lane.find(exchange.path)
        if found is not None:
            await exchange.reply(await self._answer(exchange, found))
        elif exchange.path in self._paths:
            await self._pass_on(exchange)
        else:
            raise RequestError(ErrorCode.NOT_FOUND, "there is nothing at this path")

    async def _answer(self, exchange: Exchange, found: RouteMatch) -> Reply:
        call = Call(exchange.scope, exchange.headers, b"")
        if exchange.method not in WITH_BODY:
            return await self._lane.answer(found, call)
        route = found.route(exchange.method)
        if route is not None and route.receive is not None:
            return await self._answer_upload(exchange, found, await self._uploads.read(route, call, exchange.receive))
        body = await self._bodies.read(exchange.headers, exchange.receive, route.media_types if route else JSON_ONLY)
        try:
            if self._lane.find(exchange.path) is None:
                raise RequestError(ErrorCode.NOT_FOUND, "this version is not served any more")
            return await self._answer_under_load(found, call._replace(body=body))
        finally:
            self._bodies.release(len(body))

    async def _answer_upload(self, exchange: Exchange, found: RouteMatch, form: Form) -> Reply:
        try:
            return await self._answer_under_load(found, Call(exchange.scope, exchange.headers, b"", form))
        finally:
            form.close()

    async def _answer_under_load(self, found: RouteMatch, call: Call) -> Reply:
        if self._load.is_full:
            raise RequestError(ErrorCode.OVERLOADED, FULL)
        with self._load:
            return await self._lane.answer(found, call)

    async def _pass_on(self, exchange: Exchange) -> None:
        if exchange.path == "/metrics":
            metrics.write()
        if exchange.method not in WITH_BODY:
            return await self._app(exchange.scope, exchange.receive, ForwardedReply(exchange))
        body = await self._bodies.read(exchange.headers, exchange.receive, ())
        try:
            with self._load:
                await self._app(exchange.scope, replayed(body, exchange.receive), ForwardedReply(exchange))
        finally:
            self._bodies.release(len(body))


class ForwardedReply:
    """An ASGI `send` that adds our headers to another application's answer and replaces the body of its errors."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._has_failed = False

    async def __call__(self, message: Message) -> None:
        if self._has_failed:  # BentoML's stack sends a second answer at its timeout
            return
        if message["type"] == "http.response.start":
            self._has_failed = message["status"] >= HTTPStatus.BAD_REQUEST
            if self._has_failed:
                allowed = tuple(one for one in message.get("headers", []) if one[0].lower() == b"allow")
                await self._exchange.reply(status_reply(message["status"], allowed))
                return
            self._exchange.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *self._exchange.own_headers()]}
        await self._exchange.send(message)
