"""Fronts: the ASGI applications around BentoML's, one for a service and one for a runner in its own process."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from marmita.hooks import LifespanHook
from marmita.settings import Settings
from marmita.web.access_log import AccessLog
from marmita.web.exchange import Exchange
from marmita.web.lane import Lane
from marmita.web.lifespan import live
from marmita.web.load import Load
from marmita.web.middleware import AccessLogging, Dispatch, Draining, ErrorReplies, LoadShedding, Next
from marmita.web.request_body import RequestBodies
from marmita.web.shutdown import FrontShutdown, GracefulShutdown, RunnerShutdown
from marmita.web.uploads import Uploads


def paths(routes: Iterable[BaseRoute]) -> set[str]:
    """Return the paths of all routes. Their number is fixed, which bounds the number of metric labels."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route):
            found.add(route.path)
        elif isinstance(route, Mount) and isinstance(route.app, Starlette):
            found |= {route.path + path for path in paths(route.app.routes)}
        elif isinstance(route, Mount) and isinstance(route.app, StaticFiles):
            found |= {f"{route.path}/{file.name}" for file in Path(str(route.app.directory)).iterdir()}
    return found


class _Front:
    """An ASGI application that wraps another one with middleware, lifespan hooks and graceful shutdown."""

    def __init__(self, app: ASGIApp, shutdown: GracefulShutdown, hooks: Sequence[LifespanHook], first: Next) -> None:
        self._app = app
        self._shutdown = shutdown
        self._hooks = hooks
        self._first = first

    def _is_draining(self) -> bool:
        return self._shutdown.begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._first(Exchange(scope, receive, send, self._is_draining))
        elif scope["type"] == "lifespan":
            await live(self._app, self._shutdown, self._hooks, scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Front(_Front):
    """The front of a service: the middleware that every request passes before a route answers it."""

    def __init__(
        self,
        app: ASGIApp,
        paths: Collection[str],
        settings: Settings,
        lane: Lane,
        most: float = math.inf,
        hooks: Sequence[LifespanHook] = (),
        listens_at: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        log, load, shutdown = AccessLog(), Load(most), FrontShutdown(listens_at)
        uploads = Uploads(settings, lambda: shutdown.begun)
        last = Dispatch(lane, RequestBodies(settings), uploads, load, app, paths)
        ready = ErrorReplies(Draining(last, lambda: shutdown.begun))
        super().__init__(app, shutdown, (*hooks, log), AccessLogging(LoadShedding(ready, load), log))
        self.lane = lane


class RunnerFront(_Front):
    """The front of a runner in its own process. Only fronts of services send it requests, and they bound its load."""

    def __init__(
        self,
        app: ASGIApp,
        paths: Collection[str],
        settings: Settings,
        lane: Lane,
        hooks: Sequence[LifespanHook] = (),
    ) -> None:
        bodies = RequestBodies(settings, together=math.inf)
        last = Dispatch(lane, bodies, Uploads(settings), Load(), app, paths)
        super().__init__(app, RunnerShutdown(), hooks, ErrorReplies(last))
