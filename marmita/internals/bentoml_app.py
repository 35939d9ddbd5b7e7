"""Private names of BentoML's own ASGI application. Only a worker imports them: they bring an HTTP client along."""

from typing import Any

from _bentoml_impl.server.app import ServiceAppFactory as ServiceAppFactory
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware


def traffic_metrics(app: Any) -> Any:
    """Return the part of BentoML's application that has its metrics of requests; None if they are switched off."""
    layer = app.middleware_stack
    while layer is not None and not isinstance(layer, RunnerTrafficMetricsMiddleware):
        layer = getattr(layer, "app", None)
    if layer is not None and not layer._is_setup:
        layer._setup()
    return layer
