"""The number of requests that a worker answers at a time, and its limit."""

import math
from types import TracebackType


class Load:
    """A counter of the requests in progress: `with load: ...` counts one."""

    def __init__(self, most: float = math.inf) -> None:
        self._most = most
        self._in_progress = 0

    @property
    def is_full(self) -> bool:
        return self._in_progress >= self._most

    def __enter__(self) -> None:
        self._in_progress += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._in_progress -= 1
