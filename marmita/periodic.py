"""Periodic work in a background thread."""

import logging
from collections.abc import Callable
from threading import Event, Thread, current_thread

log = logging.getLogger(__name__)


class Periodic:
    """A daemon thread that runs a function at an interval, first after one interval.

    The function fails if it raises an exception, which is logged, or returns False. With `longest_s`, the interval
    doubles after each consecutive failure, up to `longest_s`.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        interval_s: float,
        *,
        longest_s: float | None = None,
        last: Callable[[], object] | None = None,
    ) -> None:
        self._name = name
        self._work = work
        self._interval_s = interval_s
        self._longest_s = longest_s or interval_s
        self._last = last
        """A function that runs once, when the thread is stopped."""
        self._awake = Event()
        self._stopping = Event()
        self._thread: Thread | None = None

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def start(self) -> None:
        """Start the thread, unless it was started before."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Run the function now, or once more if it is running."""
        self._awake.set()

    def stop(self, within_s: float = 0) -> bool:
        """Stop the thread and wait up to `within_s` for its end. Return whether it has ended.

        The function may stop its own thread, which then ends when the function returns.
        """
        self._stopping.set()
        self._awake.set()
        if self._thread is None:
            return True
        if self._thread is not current_thread():
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        interval_s = self._interval_s
        while not self._is_stopped_within(interval_s):
            interval_s = self._interval_s if self._succeeds(self._work) else min(2 * interval_s, self._longest_s)
        if self._last is not None:
            self._succeeds(self._last)

    def _is_stopped_within(self, interval_s: float) -> bool:
        self._awake.wait(interval_s)
        self._awake.clear()
        return self.stopping

    def _succeeds(self, work: Callable[[], object]) -> bool:
        try:
            return work() is not False
        except Exception:
            log.exception("%s failed", self._name)
            return False
