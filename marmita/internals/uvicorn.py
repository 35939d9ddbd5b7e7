"""An adapter to uvicorn's undocumented names: one function for each purpose."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn


def running_server() -> uvicorn.Server | None:
    """Return the uvicorn server of this process, which is the SIGTERM handler. None under another server."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None


def has_started(server: uvicorn.Server) -> bool:
    """Tell whether the server listens."""
    return server.started


def end(server: uvicorn.Server) -> None:
    """Shut the server down as if it had received SIGTERM."""
    server.handle_exit(signal.SIGTERM, None)


def listeners(server: uvicorn.Server) -> Iterator[socket.socket]:
    """Yield duplicates of the server's listening sockets."""
    for listening in server.servers:
        for shared in listening.sockets:
            listener = socket.socket(fileno=os.dup(shared.fileno()))
            listener.setblocking(False)
            yield listener


def stop_listening(server: uvicorn.Server) -> None:
    """Stop accepting connections. Open connections stay open."""
    for listening in server.servers:
        listening.close()


async def take(accepted: socket.socket, server: uvicorn.Server) -> None:
    """Make uvicorn serve an accepted connection."""
    accepted.setblocking(False)
    config = server.config
    protocol: Any = config.http_protocol_class
    make = partial(protocol, config=config, server_state=server.server_state, app_state=server.lifespan.state)
    await asyncio.get_running_loop().connect_accepted_socket(make, accepted, ssl=config.ssl)


def connections(server: uvicorn.Server) -> int:
    """Return the number of open connections."""
    return len(server.server_state.connections)


def has_silent_connections(server: uvicorn.Server) -> bool:
    """Tell whether a client is connected that has not sent a request."""
    return any(getattr(connection, "cycle", None) is None for connection in server.server_state.connections)
