"""Graceful shutdown on SIGTERM or Ctrl-C."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from types import FrameType

REASON = "the shepherd was shut down"

_CLEANUP_S = 3.0
"""The time limit of the cleanup at shutdown. If the database does not answer in time, the next process cleans up."""
_requested = Event()

log = logging.getLogger(__name__)


class ShutdownRequested(KeyboardInterrupt):
    """A request to shut down. As a `KeyboardInterrupt` it passes through `except Exception`."""


@contextmanager
def listening() -> Iterator[None]:
    """Install signal handlers that raise `ShutdownRequested` once; ignore further signals."""

    def request_shutdown(_number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        _requested.set()
        raise ShutdownRequested

    before = {each: signal.signal(each, request_shutdown) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        with suppress(ShutdownRequested):
            for each, handler in before.items():
                signal.signal(each, handler)
        _requested.clear()


def check() -> None:
    """Raise `ShutdownRequested` if a signal has arrived.

    The handler's own exception may be lost: Python drops what is raised in a finalizer.
    """
    if _requested.is_set():
        raise ShutdownRequested


def try_briefly(cleanup: Callable[[], object]) -> None:
    """Run a cleanup, and wait for it briefly: the database may not answer."""

    def attempt() -> None:
        try:
            cleanup()
        except Exception as error:
            log.warning("cleanup at shutdown failed: %s", error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(_CLEANUP_S)
