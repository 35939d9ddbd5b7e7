"""Ending without losing a request that was taken.

Told to end, uvicorn closes its connections and ends at once, while the socket that all workers share, and their
supervisor keeps open, goes on taking connections that nobody will answer. So a worker of the front first gives
notice for a second: it goes on answering, each time asks for the connection to be closed, and says that it is not
ready. Then the last worker shuts the socket. A runner in a process of its own ends when those that ask it have gone:
each front holds a lock for as long as its process lives.
"""

import asyncio
import os
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from typing import IO

import uvicorn

from marmita.internals import uvicorn as internals
from marmita.internals.bentoml import metrics_folder
from marmita.web.accept_loop import AcceptLoop

NOTICE_S = 1.0
CALM_S = 0.5
"""So long a worker must have had nothing to catch up with before it closes what is left: idle connections."""
PATIENCE_S = 5.0
"""No worker waits longer than this to become calm."""
FRONTS_S = 15.0
"""No runner waits longer than this for fronts that do not ask it: they may have been told nothing, and go on."""

_STEP_S = 0.05
_HOPS = {socket.AF_INET: (socket.IPPROTO_IP, 21), socket.AF_INET6: (socket.IPPROTO_IPV6, 73)}
"""The option that has Linux drop packets with too few hops left to go: IP_MINTTL and IPV6_MINHOPCOUNT."""


class GracefulShutdown(ABC):
    """How one worker ends. It takes SIGTERM over from uvicorn, and hands it back when all is answered."""

    _accepting: AcceptLoop

    def __init__(self, listens_at: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        self.begun = False
        self._listens_at = listens_at
        self._ending: asyncio.Task[None] | None = None

    def stand_by(self) -> None:
        """Take over, from inside the worker's running loop."""
        server = internals.running_server()
        if server is not None:
            self._start(server)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._begin, server)

    def _begin(self, server: uvicorn.Server) -> None:
        if not self.begun:
            self.begun = True
            self._ending = asyncio.get_running_loop().create_task(self._end(server))

    async def _end(self, server: uvicorn.Server) -> None:
        try:
            await self._answer_the_rest(server)
        finally:
            self._accepting.end()
            internals.end(server)

    def _start(self, server: uvicorn.Server) -> None:
        self._accepting = AcceptLoop(server, self._listens_at)

    @abstractmethod
    async def _answer_the_rest(self, server: uvicorn.Server) -> None: ...


class FrontShutdown(GracefulShutdown):
    """How a worker of the front ends: after notice, and the last one shuts the socket."""

    def _start(self, server: uvicorn.Server) -> None:
        super()._start(server)
        # Workers share locks, one for as long as they listen. The system takes them back from one that is killed.
        self._alive, self._listening = _lock("alive"), _lock("listening")
        flock(self._alive, LOCK_SH)
        flock(self._listening, LOCK_SH)

    async def _answer_the_rest(self, server: uvicorn.Server) -> None:
        await asyncio.sleep(NOTICE_S)
        self._accepting.end()
        sockets = list(internals.listeners(server))
        internals.stop_listening(server)
        if self._is_last():
            for accepted in [accepted for listener in sockets for accepted in _shut(listener)]:
                await internals.take(accepted, server)
        await _calm(server)

    def _is_last(self) -> bool:
        return _is_nobodys(self._listening)


class RunnerShutdown(GracefulShutdown):
    """How a runner in a process of its own ends: after those that ask it."""

    async def _answer_the_rest(self, server: uvicorn.Server) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FRONTS_S
        # Neither a lock nor uvicorn has an event for it.
        while not _is_nobodys(_lock("alive")) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_STEP_S)
        while internals.connections(server):  # noqa: ASYNC110
            await asyncio.sleep(_STEP_S)


def _lock(name: str) -> IO[bytes]:
    """Open a lock that all workers of one server know."""
    return (metrics_folder() / f"{name}-{os.getppid()}").open("wb")


def _is_nobodys(lock: IO[bytes]) -> bool:
    """Tell whether nobody else has a share in a lock, and give up one's own, whatever comes of it."""
    with lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _shut(listener: socket.socket) -> list[socket.socket]:
    """Stop listening, for all processes that share the socket, and return the connections that still waited for a
    worker: the system would reset them.

    A connection that began between the last of these and the end would be lost. No packet has so many hops left to go
    as are asked for here: whoever comes in between hears nothing, tries again, and finds the port closed. A worker
    that is started again, by a supervisor that lives on, listens on this very socket: it must find it as it was.
    """
    accepted = []
    level, hops = _HOPS[listener.family]
    with listener:
        listener.setsockopt(level, hops, 255)
        with suppress(BlockingIOError):
            while True:
                accepted.append(listener.accept()[0])
        listener.shutdown(socket.SHUT_RD)
        for one in (listener, *accepted):  # a connection has taken the option over from the socket that it came in by
            one.setsockopt(level, hops, 0)
    return accepted


async def _calm(server: uvicorn.Server) -> None:
    """Wait until the loop is not behind with reading what came in, and nobody is connected who has yet to ask."""
    loop = asyncio.get_running_loop()
    since, deadline = loop.time(), loop.time() + PATIENCE_S
    while loop.time() < min(since + CALM_S, deadline):
        before = loop.time()
        await asyncio.sleep(_STEP_S)
        if internals.has_silent_connections(server) or loop.time() - before > 2 * _STEP_S:
            since = loop.time()
