"""Being told to end, by SIGTERM or Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from types import FrameType

REASON = "the shepherd was told to end"

_requested = Event()


class ShutdownRequested(KeyboardInterrupt):
    """Somebody wants the shepherd to end. All code that waits knows what to do about a Ctrl-C."""


@contextmanager
def listening() -> Iterator[None]:
    """End in an orderly way when somebody says so. Who says it twice is not heard twice."""

    def end(_number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        _requested.set()
        raise ShutdownRequested

    before = {each: signal.signal(each, end) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        with suppress(ShutdownRequested):
            for each, handler in before.items():
                signal.signal(each, handler)
        _requested.clear()


def check() -> None:
    """End if somebody has said so and was not heard: Python drops what is raised while it tidies up an object."""
    if _requested.is_set():
        raise ShutdownRequested
