"""Graceful shutdown: a worker answers every request that it accepted before it ends.

On SIGTERM, uvicorn closes its connections and ends at once. The listening socket, which all workers share and the
supervisor keeps open, would go on accepting connections that no worker answers. So a worker of the front first drains
for a second: it still answers, sends `connection: close` with each answer, and fails its readiness probe. Then the last
worker closes the socket. A runner in its own process ends after all fronts: each front holds a lock while it lives.
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
"""How long a draining worker accepts new connections, so that load balancers can see that it is not ready."""
IDLE_S = 0.5
"""How long a worker must be idle before it closes the remaining connections, which are idle too."""
MAX_IDLE_WAIT_S = 5.0
"""The longest wait of a worker until it is idle."""
MAX_FRONTS_WAIT_S = 15.0
"""The longest wait of a runner for the fronts to end. They may have received no signal, and keep running."""

_STEP_S = 0.05
_HOPS = {socket.AF_INET: (socket.IPPROTO_IP, 21), socket.AF_INET6: (socket.IPPROTO_IPV6, 73)}
"""The option with which Linux drops packets whose hop count is too low: IP_MINTTL and IPV6_MINHOPCOUNT."""


class GracefulShutdown(ABC):
    """The graceful shutdown of one worker. It handles SIGTERM in place of uvicorn, which it stops after the drain."""

    _accept_loop: AcceptLoop

    def __init__(self, listens_at: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        self.begun = False
        self._listens_at = listens_at
        self._task: asyncio.Task[None] | None = None

    def take_over_sigterm(self) -> None:
        """Install the signal handler. Call it inside the worker's running event loop."""
        server = internals.running_server()
        if server is not None:
            self._start(server)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._begin, server)

    def _begin(self, server: uvicorn.Server) -> None:
        if not self.begun:
            self.begun = True
            self._task = asyncio.get_running_loop().create_task(self._end(server))

    async def _end(self, server: uvicorn.Server) -> None:
        try:
            await self._drain(server)
        finally:
            self._accept_loop.end()
            internals.end(server)

    def _start(self, server: uvicorn.Server) -> None:
        self._accept_loop = AcceptLoop(server, self._listens_at)

    @abstractmethod
    async def _drain(self, server: uvicorn.Server) -> None: ...


class FrontShutdown(GracefulShutdown):
    """The shutdown of a front's worker: it drains first, and the last worker closes the listening socket."""

    def _start(self, server: uvicorn.Server) -> None:
        super()._start(server)
        # Workers hold shared locks, one of them only while they listen. The kernel releases those of a killed worker.
        self._alive, self._listening = _lock("alive"), _lock("listening")
        flock(self._alive, LOCK_SH)
        flock(self._listening, LOCK_SH)

    async def _drain(self, server: uvicorn.Server) -> None:
        await asyncio.sleep(NOTICE_S)
        self._accept_loop.end()
        sockets = list(internals.listeners(server))
        internals.stop_listening(server)
        if self._is_last():
            for accepted in [accepted for listener in sockets for accepted in _close_listener(listener)]:
                await internals.take(accepted, server)
        await _wait_until_idle(server)

    def _is_last(self) -> bool:
        return _has_no_holder(self._listening)


class RunnerShutdown(GracefulShutdown):
    """The shutdown of a runner in its own process: it ends after the fronts that send it requests."""

    async def _drain(self, server: uvicorn.Server) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + MAX_FRONTS_WAIT_S
        # Neither locks nor uvicorn's connections have an event to wait for.
        while not _has_no_holder(_lock("alive")) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_STEP_S)
        while internals.connections(server):  # noqa: ASYNC110
            await asyncio.sleep(_STEP_S)


def _lock(name: str) -> IO[bytes]:
    """Open the lock file of this name that all workers of one server share."""
    return (metrics_folder() / f"{name}-{os.getppid()}").open("wb")


def _has_no_holder(lock: IO[bytes]) -> bool:
    """Tell whether no other process holds a lock. Release this process's own share in either case."""
    with lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _close_listener(listener: socket.socket) -> list[socket.socket]:
    """Stop listening in all processes that share the socket, and return the connections in its backlog.

    The kernel would reset the connections in the backlog. A connection that began between the last `accept` and the
    `shutdown` would be lost too. So the socket first drops all new packets: no packet has as many hops left as the
    option demands. A client that connects meanwhile gets no reply, retries, and finds the port closed. The option is
    reset in the end, because a worker that the supervisor restarts listens on the same socket.
    """
    accepted = []
    level, hops = _HOPS[listener.family]
    with listener:
        listener.setsockopt(level, hops, 255)
        with suppress(BlockingIOError):
            while True:
                accepted.append(listener.accept()[0])
        listener.shutdown(socket.SHUT_RD)
        for one in (listener, *accepted):  # an accepted connection inherits the option
            one.setsockopt(level, hops, 0)
    return accepted


async def _wait_until_idle(server: uvicorn.Server) -> None:
    """Wait until the event loop keeps up with its input and every connection has sent a request."""
    loop = asyncio.get_running_loop()
    since, deadline = loop.time(), loop.time() + MAX_IDLE_WAIT_S
    while loop.time() < min(since + IDLE_S, deadline):
        before = loop.time()
        await asyncio.sleep(_STEP_S)
        if internals.has_silent_connections(server) or loop.time() - before > 2 * _STEP_S:
            since = loop.time()
