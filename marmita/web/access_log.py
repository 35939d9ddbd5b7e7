"""The access log: one line per request, JSON for machines and readable at a terminal.

It bypasses `logging`, which takes as long for a line as a model takes for a row. It writes several lines at a time, as
a write for each would cost as much again. A line waits for at most `DELAY_S`, and the worker writes the rest when it
ends.
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
"""The longest delay before a line is written. A worker that is killed loses the lines of this time."""


class AccessLog(LifespanHook):
    """The access log of one worker."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._enabled = logging.getLogger(LOGGER).isEnabledFor(logging.INFO)
        self._pid = os.getpid()
        self._at_a_terminal = sys.stdout.isatty()

    def note(self, scope: Scope, id: str, status: int, seconds: float) -> None:
        """Queue the line of a request that was answered."""
        if not self._enabled:
            return
        method, path, client = scope["method"], scope["path"], scope.get("client")
        now = time.time()
        line = {
            "time": f"{_format_second(int(now))}.{int(now % 1 * 1000):03d}+00:00",
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
        if not self._lines:
            asyncio.get_running_loop().call_later(DELAY_S, self.write)
        self._lines.append(readable(line).encode() if self._at_a_terminal else to_json(line))

    def end(self) -> None:
        self.write()

    def write(self) -> None:
        """Write all queued lines."""
        if self._lines:
            lines, self._lines = b"\n".join([*self._lines, b""]), []
            sys.stdout.write(lines.decode())
            sys.stdout.flush()


@lru_cache(maxsize=1)
def _format_second(at: int) -> str:
    """Format a time without its fraction. The cache pays: formatting takes longer than the rest of the line."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
