"""BentoML's request metrics, updated for requests that bypass its stack."""

from functools import cache, cached_property
from typing import Any

from marmita.internals.bentoml import server_context
from marmita.internals.bentoml_app import traffic_metrics
from marmita.internals.prometheus import Gauge
from marmita.telemetry.metrics import pending

PROBES = frozenset({"/readyz", "/v2/health/live", "/v2/health/ready"})
"""Health probes, which do not update the time of the last request."""


class RequestMetrics:
    """BentoML's request metrics, with methods that count a request as its middleware would."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._progress = cache(lambda endpoint: self._labelled("in_progress", endpoint))
        self._total = cache(lambda endpoint, status: self._labelled("total", endpoint, status))
        self._duration = cache(lambda endpoint, status: self._labelled("duration", endpoint, status))

    def begun(self, endpoint: str) -> None:
        if self._bentoml:
            pending.move(self._progress(endpoint), 1)
            if endpoint not in PROBES:
                pending.touch(self._last)

    def ended(self, endpoint: str, status: int, seconds: float) -> None:
        if self._bentoml:
            pending.move(self._progress(endpoint), -1)
            pending.count(self._total(endpoint, status))
            pending.observe(self._duration(endpoint, status), seconds)

    @cached_property
    def _last(self) -> Gauge:
        last: Gauge = self._bentoml.metrics_last_request_timestamp.labels(**self._process)
        return last

    @cached_property
    def _process(self) -> dict[str, str | None]:
        return {
            "service_name": server_context.bento_name,
            "service_version": server_context.bento_version,
            "runner_name": server_context.service_name,
        }

    @cached_property
    def _bentoml(self) -> Any:
        return traffic_metrics(self._app)

    def _labelled(self, metric: str, endpoint: str, status: int | None = None) -> Any:
        code = {} if status is None else {"http_response_code": status}
        return getattr(self._bentoml, f"metrics_request_{metric}").labels(endpoint=endpoint, **self._process, **code)
