"""A front around small handlers, and clients of it."""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marmita.contract.replies import JSON, JSON_OR_BYTES, Call, Headers, Reply, Route
from marmita.settings import Settings
from marmita.telemetry.requests import RequestMetrics
from marmita.telemetry.spans import NoSpans, Spans
from marmita.web.front import Front
from marmita.web.lane import Lane

ASK = "/ask"
INFER = "/v2/models/trees/infer"
JSON_TYPE = {"content-type": "application/json"}


async def echo(call: Call) -> Reply:
    """Answer with the body of the request."""
    return Reply(200, call.body or b"{}")


async def broken(_: Call) -> Reply:
    raise RuntimeError("the secret")


ROUTES: Mapping[str, Route] = {
    ASK: Route("POST", echo),
    INFER: Route("POST", echo, JSON_OR_BYTES),
    "/v2/models/trees": Route("GET", echo),
    "/livez": Route("GET", echo),
    "/readyz": Route("GET", echo),
    "/v2/health/ready": Route("GET", echo),
    "/broken": Route("POST", broken),
    "/v2/broken": Route("POST", broken),
}


def lane(
    routes: Mapping[str, Route] = ROUTES,
    versions: Mapping[str, Callable[[], str]] | None = None,
    app: Any = None,
    spans: Spans | None = None,
    timeout_s: float = 10,
) -> Lane:
    metrics = RequestMetrics(app or Starlette())  # an application that was never started has no metrics
    return Lane(
        routes, {"trees": lambda: "v1"} if versions is None else versions, metrics, spans or NoSpans(), timeout_s
    )


def front(
    routes: Mapping[str, Route] = ROUTES,
    app: ASGIApp | None = None,
    paths: Collection[str] = (),
    settings: Mapping[str, float | timedelta] | None = None,
    **more: Any,
) -> Front:
    return Front(app or Starlette(), paths, Settings.model_validate(settings or {}), lane(routes), **more)


def client(
    routes: Mapping[str, Route] = ROUTES,
    app: ASGIApp | None = None,
    paths: Collection[str] = (),
    **settings: float | timedelta,
) -> httpx.AsyncClient:
    return to(front(routes, app, paths, settings))


def to(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://front")


def scope(path: str = ASK, method: str = "POST", headers: Headers = ()) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
    }


def call(body: bytes = b"", method: str = "POST", **headers: str) -> Call:
    found = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    return Call(scope(method=method), {b"content-type": JSON} | found, body)


def receiver(*messages: Message) -> Receive:
    """Return what receives these messages, one after the other."""
    left = iter(messages)

    async def receive() -> Message:
        return next(left)

    return receive


def sender(sent: list[Message]) -> Send:
    """Return what keeps all that is sent."""

    async def send(message: Message) -> None:
        sent.append(message)

    return send
