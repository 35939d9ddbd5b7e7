"""BentoML's own metrics count requests that its stack does not see."""

from prometheus_client import REGISTRY
from starlette.applications import Starlette

from marmita.telemetry import metrics
from marmita.telemetry.requests import RequestMetrics
from tests.telemetry.bentoml_app import application


async def test_requests_have_the_labels_that_bentoml_gives_its_own() -> None:
    with application("test_requests") as app:
        counted = RequestMetrics(app)
        counted.begun("/ask")
        counted.ended("/ask", 200, 0.1)
        metrics.write()
        labels = {
            each.name: set(each.labels)
            for family in REGISTRY.collect()
            for each in family.samples
            if each.name.startswith("test_requests_request") and each.labels["endpoint"] == "/ask"
        }

    common = {"endpoint", "service_name", "service_version", "runner_name"}
    assert labels["test_requests_request_in_progress"] == common
    assert labels["test_requests_request_total"] == common | {"http_response_code"}
    assert labels["test_requests_request_duration_seconds_sum"] == common | {"http_response_code"}


async def test_where_metrics_are_switched_off_nothing_is_counted() -> None:
    app = Starlette()
    app.middleware_stack = app.build_middleware_stack()
    counted = RequestMetrics(app)

    counted.begun("/ask")
    counted.ended("/ask", 200, 0.1)
