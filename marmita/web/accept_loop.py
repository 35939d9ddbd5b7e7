"""An accept loop that accepts many connections in one turn of the event loop.

libuv accepts one connection per turn, and the turns of an overloaded worker are long. Of hundreds of connections that
are opened at once, the last ones would wait for seconds before the worker reads them.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence

import uvicorn

from marmita.internals.uvicorn import has_started, listeners, take

_ACCEPTS_PER_TURN = 64
"""The bound on connections accepted in one turn, so that open connections do not wait."""
_STEP_S = 0.01


class AcceptLoop:
    """An acceptor of the connections that uvicorn would leave for the next turns."""

    def __init__(self, server: uvicorn.Server, listens_at: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        self._server = server
        self._listens_at = listens_at
        self._listeners: list[socket.socket] = []
        self._taking: set[asyncio.Task[None]] = set()
        self._start = asyncio.create_task(self._accept_when_started())

    async def _accept_when_started(self) -> None:
        while not has_started(self._server):  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(_STEP_S)
        self._listeners = list(listeners(self._server))
        for listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        inet = (socket.AF_INET, socket.AF_INET6)
        self._listens_at([listener.getsockname()[0] for listener in self._listeners if listener.family in inet])

    def end(self) -> None:
        self._start.cancel()
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners = []

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                accepted, _address = listener.accept()
            except OSError:  # none is pending, or no descriptor is free: libuv handles that
                return
            task = asyncio.create_task(take(accepted, self._server))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)
