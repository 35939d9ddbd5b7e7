"""The middleware of every request: a request id, metrics, and a line of JSON in the access log."""

import json
import logging
import re
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from fastapi import FastAPI
from prometheus_client import Counter, Gauge, Histogram, make_asgi_app

Message = dict[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

GOOD_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

requests = Counter("request_total", "Requests", ["endpoint", "http_response_code"])
seconds = Histogram("request_duration_seconds", "Seconds to the answer", ["endpoint"], buckets=BUCKETS)
in_progress = Gauge("request_in_progress", "Requests under way", ["endpoint"])
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
access = logging.getLogger("access")


class JsonFormatter(logging.Formatter):
    """A formatter that writes a record as one line of JSON, with the request's id."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            "request_id": request_id.get(),
        }
        return json.dumps(line | getattr(record, "fields", {}), default=str)


class Telemetry:
    """The ASGI middleware that identifies, measures and logs requests."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start = perf_counter()
        path = scope["path"]
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        id = given if GOOD_ID.fullmatch(given) else uuid.uuid4().hex
        request_id.set(id)
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", id.encode()))
            await send(message)

        with in_progress.labels(path).track_inprogress():
            try:
                await self._app(scope, receive, answer)
            finally:
                took = perf_counter() - start
                requests.labels(path, status).inc()
                seconds.labels(path).observe(took)
                fields = {
                    "method": scope["method"],
                    "path": path,
                    "status": status,
                    "ms": round(took * 1000, 2),
                    "client": scope["client"][0] if scope["client"] else None,
                }
                access.info("%s %s %d", scope["method"], path, status, extra={"fields": fields})


def application() -> FastAPI:
    """Return an application with the middleware and the route of the metrics."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    access.propagate = False
    app = FastAPI()
    app.mount("/metrics", make_asgi_app())
    app.add_middleware(Telemetry)
    return app
