"""The access log: a line for each request, JSON for machines and readable at a terminal.

It is written past `logging`, which takes as long for a line as a model for a row, and several lines at a time: a write
for each would cost as much again. Lines wait a moment at most, and are written before the worker ends.
"""

import asyncio
import logging
import os
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache

from pydantic_core import to_json
from starlette.types import Scope

from marmita.hooks import LifespanHook
from marmita.telemetry.logs import readable

LOGGER = __name__
DELAY_S = 0.1
"""So old may a line become before it is written. A worker that is killed loses those of this time."""


class AccessLog(LifespanHook):
    """The lines of one worker."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._enabled = logging.getLogger(LOGGER).isEnabledFor(logging.INFO)
        self._pid = os.getpid()
        self._at_a_terminal = sys.stdout.isatty()

    def note(self, scope: Scope, id: str, status: int, seconds: float) -> None:
        """Keep the line of a request that was answered."""
        if not self._enabled:
            return
        method, path, client = scope["method"], scope["path"], scope.get("client")
        now = time.time()
        line = {
            "time": f"{_second(int(now))}.{int(now % 1 * 1000):03d}+00:00",
            "level": "info",
            "logger": LOGGER,
            "message": f"{method} {path} {status}",
            "pid": self._pid,
            "request_id": id,
            "method": method,
            "path": path,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "client": client[0] if client else None,
        }
        if not self._waiting:
            asyncio.get_running_loop().call_later(DELAY_S, self.write)
        self._waiting.append(readable(line).encode() if self._at_a_terminal else to_json(line))

    def end(self) -> None:
        self.write()

    def write(self) -> None:
        """Write all that waits."""
        if self._waiting:
            lines, self._waiting = b"\n".join([*self._waiting, b""]), []
            sys.stdout.write(lines.decode())
            sys.stdout.flush()


@lru_cache(maxsize=1)
def _second(at: int) -> str:
    """A moment without its fraction: to write it out takes longer than the rest of the line."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
