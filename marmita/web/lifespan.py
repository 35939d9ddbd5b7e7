"""The lifespan of a worker: startup and shutdown around the application that it serves."""

import gc
import logging
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marmita.hooks import LifespanHook
from marmita.telemetry import metrics
from marmita.web.shutdown import GracefulShutdown

log = logging.getLogger(__name__)

_COLLECT_AFTER = 10_000
"""The threshold of the youngest generation of the garbage collector; Python's default is 700. A request with a
thousand rows makes several thousand objects, and none of them are in cycles."""


async def live(
    app: ASGIApp, shutdown: GracefulShutdown, hooks: Sequence[LifespanHook], scope: Scope, receive: Receive, send: Send
) -> None:
    """Run an application's lifespan, with the lifespan hooks and the signal handler of graceful shutdown."""

    async def send_settled(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            for hook in hooks:
                hook.begin()
            _settle()
        await send(message)

    shutdown.take_over_sigterm()
    try:
        await app(scope, receive, send_settled)
    finally:
        for end in (metrics.write, *(hook.end for hook in hooks)):
            try:
                end()
            except Exception:  # the other hooks must still end: one of them writes the buffered records
                log.exception("lifespan hook %s failed at shutdown", end.__qualname__)


def _settle() -> None:
    """Exempt all loaded objects from garbage collection.

    They stay for the life of the process, and traversing them takes a third of the time of a request with many rows.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
