"""Private names of BentoML's own ASGI application. Only a worker imports them: they bring an HTTP client along."""

from typing import Any

from _bentoml_impl.server.app import ServiceAppFactory as ServiceAppFactory
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_FILES_OF_PAGE = ("assets", "static_content")


def application(service: Any, is_main: bool) -> tuple[ServiceAppFactory, Starlette]:
    """Return BentoML's application of a service and what made it.

    BentoML's page is left out, as it loads what it shows from other hosts, and so is its handling of other origins:
    what stands before this application handles them for all routes.
    """
    factory = ServiceAppFactory(service, is_main=is_main, enable_access_control=False)
    app = factory()
    app.router.routes[:] = [route for route in app.router.routes if not _is_of_page(route, factory)]
    return factory, app


def _is_of_page(route: BaseRoute, factory: ServiceAppFactory) -> bool:
    if isinstance(route, Mount):
        return route.name in _FILES_OF_PAGE and isinstance(route.app, StaticFiles)
    return isinstance(route, Route) and bool(route.endpoint == factory.index_page)


def traffic_metrics(app: Any) -> Any:
    """Return the part of BentoML's application that has its metrics of requests; None if they are switched off."""
    layer = app.middleware_stack
    while layer is not None and not isinstance(layer, RunnerTrafficMetricsMiddleware):
        layer = getattr(layer, "app", None)
    if layer is not None and not layer._is_setup:
        layer._setup()
    return layer
