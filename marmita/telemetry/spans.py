"""OpenTelemetry spans of requests. Without an exporter, they cost nothing."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from opentelemetry import context as contexts
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

_SERVER_ERROR = 500


class Span(Protocol):
    """The span of one request."""

    def ended(self, status: int) -> None: ...
    def __enter__(self) -> "Span": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Spans(Protocol):
    """A factory of spans."""

    def begin(self, method: str, endpoint: str, headers: Mapping[bytes, bytes]) -> Span: ...
    def propagation_headers(self) -> Mapping[str, str]:
        """Return the headers that make a remote span a child of the current one."""
        ...


def make_spans(tracer: Tracer | None) -> Spans:
    """Return a factory of spans, which are no-ops without a tracer."""
    return NoSpans() if tracer is None else TracedSpans(tracer)


class NoSpan:
    """A no-op span."""

    def ended(self, status: int) -> None: ...
    def __enter__(self) -> "NoSpan":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class NoSpans:
    """A factory of no-op spans."""

    def __init__(self) -> None:
        self._none = NoSpan()

    def begin(self, method: str, endpoint: str, headers: Mapping[bytes, bytes]) -> NoSpan:  # noqa: ARG002
        return self._none

    def propagation_headers(self) -> Mapping[str, str]:
        return {}


class TracedSpan:
    """An OpenTelemetry span, current while its request is answered."""

    def __init__(self, span: Any) -> None:
        self._span = span
        self._token: Any = None

    def ended(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            self._span.set_status(Status(StatusCode.ERROR))

    def __enter__(self) -> "TracedSpan":
        self._token = contexts.attach(set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        contexts.detach(self._token)
        self._span.end()


class TracedSpans:
    """A factory of OpenTelemetry spans."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, method: str, endpoint: str, headers: Mapping[bytes, bytes]) -> TracedSpan:
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        span = self._tracer.start_span(
            f"{method} {endpoint}",
            context=propagate.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": endpoint},
        )
        return TracedSpan(span)

    def propagation_headers(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier
