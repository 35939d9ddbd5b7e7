"""An application with BentoML's own metrics of requests."""

from collections.abc import Iterator
from contextlib import contextmanager

from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.middleware import Middleware


@contextmanager
def application(namespace: str) -> Iterator[Starlette]:
    """Its metrics are named so, and are forgotten afterwards."""
    before = set(REGISTRY._collector_to_names)
    app = Starlette(middleware=[Middleware(RunnerTrafficMetricsMiddleware, namespace=namespace)])
    app.middleware_stack = app.build_middleware_stack()
    yield app
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)
