"""Timeouts of requests, with one timer for all of them.

`asyncio.timeout` sets and cancels a timer for each use: two of them are a tenth of the cost of a request for one row.
Timeouts of equal length expire in the order in which they began, so one timer for the first of them is enough.
"""

import asyncio
from collections import deque
from types import TracebackType


class DeadlineError(TimeoutError):
    """The error of an expired deadline."""


class Deadline:
    """A time limit for each use: `with deadline.begin(): ...` raises a DeadlineError when it expires."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: deque[_Timeout] = deque()
        self._has_timer = False

    def begin(self) -> "_Timeout":
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        while self._running and self._running[0].task is None:
            self._running.popleft()
        wait = _Timeout(task, loop.time() + self.seconds)
        self._running.append(wait)
        if not self._has_timer:
            self._set_timer(loop, wait)
        return wait

    def _set_timer(self, loop: asyncio.AbstractEventLoop, first: "_Timeout") -> None:
        self._has_timer = True
        loop.call_at(first.until, self._end_expired, loop)

    def _end_expired(self, loop: asyncio.AbstractEventLoop) -> None:
        self._has_timer = False
        now = loop.time()
        while self._running:
            first = self._running[0]
            if first.task is not None and first.until > now:
                self._set_timer(loop, first)
                return
            self._running.popleft().end()


class _Timeout:
    """A running timeout of one task."""

    __slots__ = ("_cancelling", "_ended", "task", "until")

    def __init__(self, task: asyncio.Task[object], until: float) -> None:
        self.task: asyncio.Task[object] | None = task
        self.until = until
        self._cancelling = task.cancelling()
        self._ended = False

    def end(self) -> None:
        if self.task is not None:
            self._ended = True
            self.task.cancel()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self.task = self.task, None
        if self._ended and task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise DeadlineError from error
