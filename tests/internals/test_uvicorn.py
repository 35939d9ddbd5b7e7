"""uvicorn's undocumented names are where `marmita/internals/uvicorn.py` looks for them.

These are canaries: after an upgrade of uvicorn the first one that fails names what has moved.
"""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from marmita.internals import uvicorn as internals
from tests.web.servers import serving

QUESTION = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


@pytest.fixture
def path(socket_path: Path) -> str:
    return str(socket_path)


@pytest.fixture
async def server(path: str) -> AsyncIterator[uvicorn.Server]:
    async with serving(PlainTextResponse("ok"), path) as found:
        yield found


@pytest.mark.parametrize("name", ["started", "servers", "server_state", "lifespan", "config", "handle_exit"])
async def test_a_server_has_each_name_that_is_used(server: uvicorn.Server, name: str) -> None:
    assert hasattr(server, name), f"uvicorn has moved Server.{name}"


async def test_a_server_takes_sigterm_by_its_own_method(server: uvicorn.Server) -> None:
    assert internals.running_server() is server, "uvicorn has another handler of SIGTERM than Server.handle_exit"


def test_another_handler_of_sigterm_is_no_server() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert internals.running_server() is None


async def test_a_server_that_is_told_to_end_ends(server: uvicorn.Server) -> None:
    assert internals.has_started(server), "Server.started is not set when the server listens"
    internals.end(server)
    assert server.should_exit, "Server.handle_exit does not end the server"
    server._captured_signals.clear()  # else the signal would be raised again


async def test_connections_are_known_with_whether_they_have_asked(server: uvicorn.Server, path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    await asyncio.sleep(0.05)
    silent = internals.connections(server), internals.has_silent_connections(server)
    writer.write(QUESTION)
    await reader.read(100)
    asked = internals.connections(server), internals.has_silent_connections(server)
    writer.close()

    assert silent == (1, True), "ServerState.connections or the protocol's `cycle` has moved"
    assert asked == (1, False), "the protocol's `cycle` is not set when a request has come"


async def test_a_connection_that_was_accepted_elsewhere_is_served(server: uvicorn.Server) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    await internals.take(theirs, server)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(ours, QUESTION)
    answer = await asyncio.wait_for(loop.sock_recv(ours, 1000), 5)
    ours.close()

    assert answer.startswith(b"HTTP/1.1 200"), "Config.http_protocol_class takes other arguments"


async def test_listening_ends_for_new_connections_only(server: uvicorn.Server, path: str) -> None:
    again = list(internals.listeners(server))
    assert [one.getsockname() for one in again] == [path], "Server.servers does not hold what the server listens at"
    for one in again:
        one.close()
    reader, writer = await asyncio.open_unix_connection(path)
    await asyncio.sleep(0.05)
    internals.stop_listening(server)
    with pytest.raises(OSError):  # noqa: PT011  which one depends on whether the socket's file is still there
        await asyncio.open_unix_connection(path)
    writer.write(QUESTION)
    assert (await reader.read(100)).startswith(b"HTTP/1.1 200"), "Server.servers' close() closes connections, too"
    writer.close()
