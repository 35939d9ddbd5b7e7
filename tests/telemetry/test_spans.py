"""Spans of requests, and none where nobody collects them."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from marmita.internals.bentoml import configuration, tracer, use_configuration
from marmita.registry.packed_model import PackedModel
from marmita.telemetry.spans import NoSpans, TracedSpans, make_spans

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {b"traceparent": f"00-{TRACE}-{CALLER}-01".encode()}


def traced() -> tuple[TracedSpans, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return TracedSpans(provider.get_tracer("test")), exporter


def test_without_an_endpoint_there_are_no_spans(champions: dict[str, PackedModel]) -> None:
    from service import Marmita

    before = configuration()
    service: Any = Marmita
    service.inject_config()
    spans = make_spans(tracer())
    use_configuration(before)

    assert isinstance(spans, NoSpans)
    assert spans.begin("POST", "/ask", TRACEPARENT) is spans.begin("GET", "/other", {})
    with spans.begin("POST", "/ask", TRACEPARENT) as span:
        span.ended(200)
        assert not get_current_span().get_span_context().is_valid
        assert spans.propagation_headers() == {}


def test_a_span_continues_its_caller_s_trace_and_is_current() -> None:
    spans, exporter = traced()

    with spans.begin("POST", "/ask", TRACEPARENT) as span:
        propagation_headers = spans.propagation_headers()
        span.ended(200)
    assert not get_current_span().get_span_context().is_valid

    (found,) = exporter.get_finished_spans()
    assert (found.name, found.kind) == ("POST /ask", SpanKind.SERVER)
    assert found.attributes == {
        "http.request.method": "POST",
        "http.route": "/ask",
        "http.response.status_code": 200,
    }
    assert found.parent is not None
    assert (f"{found.parent.trace_id:032x}", f"{found.parent.span_id:016x}") == (TRACE, CALLER)
    assert found.context is not None
    assert propagation_headers == {"traceparent": f"00-{TRACE}-{found.context.span_id:016x}-01"}


@pytest.mark.parametrize("headers", [{}, {b"traceparent": b"x"}, {b"traceparent": b"\xff"}])
def test_a_span_without_a_caller_begins_a_trace(headers: dict[bytes, bytes]) -> None:
    spans, exporter = traced()

    with spans.begin("POST", "/ask", headers):
        pass

    assert exporter.get_finished_spans()[0].parent is None


@pytest.mark.parametrize(("status", "failed"), [(200, False), (400, False), (429, False), (500, True), (504, True)])
def test_a_fault_is_marked_as_one(status: int, failed: bool) -> None:
    spans, exporter = traced()

    with spans.begin("POST", "/ask", {}) as span:
        span.ended(status)

    assert (exporter.get_finished_spans()[0].status.status_code is StatusCode.ERROR) is failed
