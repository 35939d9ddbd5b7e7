"""How a worker begins and ends, around the application that it serves."""

import gc
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marmita import metrics
from marmita.drain import Drain

_COLLECT_AFTER = 10_000
"""New objects until Python looks for cycles among them; 700 by default. A thousand rows are several thousand objects,
and they leave no cycles behind."""


async def live(
    app: ASGIApp,
    drain: Drain,
    scope: Scope,
    receive: Receive,
    send: Send,
    before_the_end: Callable[[], None] = lambda: None,
) -> None:
    """Pass an application's lifespan on, and see to what else belongs to it."""

    async def settled(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            _settle()
        await send(message)

    drain.stand_by()
    try:
        await app(scope, receive, settled)
    finally:
        metrics.write()
        before_the_end()


def _settle() -> None:
    """Take what was loaded out of the garbage collector's sight: it stays, and looking through it takes a third of the
    time of a request with many rows.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
