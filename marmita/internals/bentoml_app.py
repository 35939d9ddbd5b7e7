"""An adapter to private names of BentoML's ASGI application. Only workers import it, as it imports an HTTP client."""

from typing import Any

from _bentoml_impl.server.app import ServiceAppFactory as ServiceAppFactory
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_FILES_OF_PAGE = ("assets", "static_content")


def application(service: Any, is_main: bool) -> tuple[ServiceAppFactory, Starlette]:
    """Return BentoML's application of a service, and the factory that made it.

    BentoML's HTML page is removed, as it loads scripts from other hosts. BentoML's CORS middleware is disabled, as the
    front handles CORS for all routes.
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
    """Return the middleware with BentoML's request metrics, or None if metrics are disabled."""
    layer = app.middleware_stack
    while layer is not None and not isinstance(layer, RunnerTrafficMetricsMiddleware):
        layer = getattr(layer, "app", None)
    if layer is not None and not layer._is_setup:
        layer._setup()
    return layer
