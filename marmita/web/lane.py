"""The lane: all routes that are answered in front of BentoML's own stack, which costs several times what a model does.

Typed routes, the Open Inference Protocol and the API take it alike: with one deadline, one way to count, and a span for
each request where traces are sent somewhere. BentoML's metrics of requests count them all the same.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import NamedTuple

from marmita.contract.errors import ErrorCode, RequestError, error_reply
from marmita.contract.replies import Call, Reply, Route
from marmita.oip.routes import canonical, is_told_in_full
from marmita.telemetry.requests import RequestMetrics
from marmita.telemetry.spans import Spans
from marmita.timeouts import Deadline, DeadlineError


class Found(NamedTuple):
    """A route, and the name that it has in metrics: its path, without a version."""

    endpoint: str
    route: Route


class Lane:
    """The routes of one process."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        versions: Mapping[str, Callable[[], str]],
        metrics: RequestMetrics,
        spans: Spans,
        timeout_s: float,
    ) -> None:
        self._routes = {path: Found(path, route) for path, route in routes.items()}
        self._versions = versions
        self._metrics = metrics
        self._spans = spans
        self._deadline = Deadline(timeout_s)

    def find(self, path: str) -> Found | None:
        """Return what is at a path. A version's own paths are those of its model, for as long as it is served."""
        found = self._routes.get(path)
        if found is None and (of_model := canonical(path, self._versions)) is not None:
            return self._routes.get(of_model)
        return found

    async def answer(self, found: Found, call: Call) -> Reply:
        """Answer a call, whatever becomes of it."""
        start = perf_counter()
        endpoint = found.endpoint
        self._metrics.begun(endpoint)
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        try:
            with self._spans.begin(call.scope["method"], endpoint, call.headers) as span:
                reply = await self._handled(found, call)
                span.ended(status := reply.status)
                return reply
        finally:
            self._metrics.ended(endpoint, status, perf_counter() - start)

    async def _handled(self, found: Found, call: Call) -> Reply:
        try:
            if not found.route.allows(call.scope["method"]):
                raise _not_allowed(found.route)
            with self._deadline.begin():
                return await found.route.handle(call)
        except DeadlineError:
            said = f"there was no answer within {self._deadline.seconds:g} s"
            return error_reply(RequestError(ErrorCode.DEADLINE_EXCEEDED, said), is_told_in_full(found.endpoint))
        except Exception as error:
            return error_reply(error, is_told_in_full(found.endpoint))


def _not_allowed(route: Route) -> RequestError:
    return RequestError(
        ErrorCode.METHOD_NOT_ALLOWED,
        f"only {route.method} is allowed here",
        headers=((b"allow", route.method.encode()),),
    )
