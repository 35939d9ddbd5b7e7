"""The lane: the routes that bypass BentoML's request stack, which costs several times as much as a model.

Typed routes, the Open Inference Protocol and the API all take it. The lane gives each request a deadline, metrics and,
where traces are exported, a span. BentoML's own request metrics include these requests.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from time import perf_counter
from typing import NamedTuple

from bentoml.exceptions import BentoMLConfigException

from marmita.contract.errors import ErrorCode, RequestError, error_reply
from marmita.contract.replies import Call, Reply, Route, RouteTemplate
from marmita.oip.routes import canonical, has_error_details
from marmita.telemetry.requests import RequestMetrics
from marmita.telemetry.spans import Spans
from marmita.timeouts import Deadline, DeadlineError


class RouteMatch(NamedTuple):
    """The routes at a path, one for each method.

    Their name in metrics is the path without a version, or its template.
    """

    endpoint: str
    routes: tuple[Route, ...]

    def route(self, method: str) -> Route | None:
        """Return the route for a method, or None if it is not allowed."""
        for route in self.routes:
            if route.allows(method):
                return route
        return None


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
        self._routes: dict[str, RouteMatch] = {}
        self._templates: dict[str, list[RouteTemplate]] = {}
        self._versions = versions
        self._metrics = metrics
        self._spans = spans
        self._deadline = Deadline(timeout_s)
        self.add(routes)

    def add(self, routes: Mapping[str, Route], templates: Iterable[RouteTemplate] = ()) -> None:
        """Add routes. Raise an error if a path and method is taken."""
        for path, route in routes.items():
            others = self._routes[path].routes if path in self._routes else ()
            if route.method in [other.method for other in others]:
                raise BentoMLConfigException(f"there are two routes {path}: a model has one of the API's")
            self._routes[path] = RouteMatch(path, (*others, route))
        for template in templates:
            self._templates.setdefault(template.template, []).append(template)

    def find(self, path: str) -> RouteMatch | None:
        """Return the route at a path. The paths of the served version lead to the routes of its model."""
        found = self._routes.get(path)
        if found is None and (of_model := canonical(path, self._versions)) is not None:
            return self._routes.get(of_model)
        return found or self._find_template(path)

    def _find_template(self, path: str) -> RouteMatch | None:
        for template, (first, *others) in self._templates.items():
            if (route := first.find(path)) is not None:
                more = [one.find(path) for one in others]
                return RouteMatch(template, (route, *(one for one in more if one)))
        return None

    async def answer(self, found: RouteMatch, call: Call) -> Reply:
        """Answer a call, errors included, and count it."""
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

    async def _handled(self, found: RouteMatch, call: Call) -> Reply:
        try:
            route = found.route(call.scope["method"])
            if route is None:
                raise _not_allowed(found.routes)
            with self._deadline.begin():
                return await route.handle(call)
        except DeadlineError:
            message = f"there was no answer within {self._deadline.seconds:g} s"
            return error_reply(RequestError(ErrorCode.DEADLINE_EXCEEDED, message), has_error_details(found.endpoint))
        except Exception as error:
            return error_reply(error, has_error_details(found.endpoint))


def _not_allowed(routes: Sequence[Route]) -> RequestError:
    methods = ", ".join(route.method for route in routes)
    return RequestError(
        ErrorCode.METHOD_NOT_ALLOWED, f"only {methods} is allowed here", headers=((b"allow", methods.encode()),)
    )
