"""Names of uvicorn that it does not document, each behind a function that says what it is for."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn


def running_server() -> uvicorn.Server | None:
    """Return the server that runs in this process: uvicorn has it take SIGTERM. None under another server."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None


def has_started(server: uvicorn.Server) -> bool:
    """Tell whether the server listens."""
    return server.started


def end(server: uvicorn.Server) -> None:
    """Have the server end as if it had been sent SIGTERM."""
    server.handle_exit(signal.SIGTERM, None)


def listeners(server: uvicorn.Server) -> Iterator[socket.socket]:
    """The sockets at which the server listens, each once more."""
    for listening in server.servers:
        for shared in listening.sockets:
            listener = socket.socket(fileno=os.dup(shared.fileno()))
            listener.setblocking(False)
            yield listener


def stop_listening(server: uvicorn.Server) -> None:
    """Accept no more connections. Those that there are stay open."""
    for listening in server.servers:
        listening.close()


async def take(accepted: socket.socket, server: uvicorn.Server) -> None:
    """Let uvicorn serve a connection as if it had accepted it."""
    accepted.setblocking(False)
    config = server.config
    protocol: Any = config.http_protocol_class
    make = partial(protocol, config=config, server_state=server.server_state, app_state=server.lifespan.state)
    await asyncio.get_running_loop().connect_accepted_socket(make, accepted, ssl=config.ssl)


def connections(server: uvicorn.Server) -> int:
    """Return how many connections are open."""
    return len(server.server_state.connections)


def has_silent_connections(server: uvicorn.Server) -> bool:
    """Tell whether anybody is connected who has yet to ask."""
    return any(getattr(connection, "cycle", None) is None for connection in server.server_state.connections)
