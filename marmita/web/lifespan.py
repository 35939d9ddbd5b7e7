"""How a worker begins and ends, around the application that it serves."""

import gc
import logging
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marmita.hooks import LifespanHook
from marmita.telemetry import metrics
from marmita.web.shutdown import GracefulShutdown

log = logging.getLogger(__name__)

_COLLECT_AFTER = 10_000
"""New objects until Python looks for cycles among them; 700 by default. A thousand rows are several thousand objects,
and they leave no cycles behind."""


async def live(
    app: ASGIApp, drain: GracefulShutdown, hooks: Sequence[LifespanHook], scope: Scope, receive: Receive, send: Send
) -> None:
    """Pass an application's lifespan on, and see to what else belongs to it."""

    async def settled(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            for hook in hooks:
                hook.begin()
            _settle()
        await send(message)

    drain.stand_by()
    try:
        await app(scope, receive, settled)
    finally:
        for end in (metrics.write, *(hook.end for hook in hooks)):
            try:
                end()
            except Exception:  # the others must end all the same: one of them writes what is still to be recorded
                log.exception("a worker could not end in order")


def _settle() -> None:
    """Take what was loaded out of the garbage collector's sight: it stays, and looking through it takes a third of the
    time of a request with many rows.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
