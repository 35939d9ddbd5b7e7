"""Bounds on how long requests may take, with one timer for all of them.

`asyncio.timeout` sets a timer for each, and takes it away again: two of these are a tenth of what a request for one row
costs. Where all have the same time, they run out in the order in which they began, and it is enough to watch the first.
"""

import asyncio
from collections import deque
from types import TracebackType


class DeadlineError(TimeoutError):
    """The time of a deadline is over."""


class Deadline:
    """So many seconds for each: `with deadline.begin(): ...` raises a DeadlineError when they are over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: deque[_Wait] = deque()
        self._watching = False

    def begin(self) -> "_Wait":
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        while self._running and self._running[0].task is None:
            self._running.popleft()
        wait = _Wait(task, loop.time() + self.seconds)
        self._running.append(wait)
        if not self._watching:
            self._watch(loop, wait)
        return wait

    def _watch(self, loop: asyncio.AbstractEventLoop, first: "_Wait") -> None:
        self._watching = True
        loop.call_at(first.until, self._end_those_that_ran_out, loop)

    def _end_those_that_ran_out(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watching = False
        now = loop.time()
        while self._running:
            first = self._running[0]
            if first.task is not None and first.until > now:
                self._watch(loop, first)
                return
            self._running.popleft().end()


class _Wait:
    """One of those that have until then."""

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
