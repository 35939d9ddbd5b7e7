"""The connections of a relay: they are shared, and may end at any moment."""

import asyncio
import os
import socket
import threading
import time

import pytest

from marmita.web.relay import Relay, RelayError
from tests.web.relayed import LIMIT, OK, ask, echoing, says, scripted


@pytest.mark.parametrize("how", ["says so", "is of old"])
async def test_a_connection_that_ends_with_its_answer_is_not_used_again(path: str, how: str) -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    answer = closing if how == "says so" else OK.replace(b"1.1", b"1.0")
    async with scripted(path, says(answer)) as (relay, server):
        assert [(await ask(relay)).body for _ in range(3)] == [b"ok"] * 3

    assert server.connections == 3


async def test_a_server_may_close_idle_connections(path: str) -> None:
    async with echoing(path, keep_alive_s=1) as (relay, clients):
        await asyncio.gather(*(ask(relay) for _ in range(5)))
        await asyncio.sleep(1.5)
        assert (await ask(relay, b"[1]")).body == b"[1]"

    assert len(clients) == 6


async def test_connections_that_were_idle_for_long_are_closed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("marmita.web.relay.monotonic", lambda: now)
    async with scripted(path, says(OK)) as (relay, server):
        await asyncio.gather(*(ask(relay) for _ in range(3)))
        now = 1.9
        await ask(relay)
        assert server.connections == 3
        now = 3.5  # all but the one that was just used are too old
        await asyncio.gather(*(ask(relay) for _ in range(2)))
        assert server.connections == 4


def closing_server(path: str, connections: int) -> threading.Thread:
    """A server in a thread that closes each connection as soon as it has answered, and does not say so."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        with listener:
            for _ in range(connections):
                accepted, _address = listener.accept()
                with accepted:
                    accepted.recv(10_000)
                    accepted.sendall(OK)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize("rest_s", [0.0, 0.001])
async def test_a_connection_that_was_closed_while_it_was_idle_costs_no_request(path: str, rest_s: float) -> None:
    """The server closes it in about the moment in which it is used again."""
    serving, relay = closing_server(path, 100), Relay(path=path)
    async with asyncio.timeout(LIMIT):
        for _ in range(100):
            time.sleep(rest_s)  # noqa: ASYNC251  the loop must not see it
            assert (await ask(relay)).body == b"ok"
    serving.join()


async def test_a_request_that_was_read_is_not_sent_again(path: str) -> None:
    turns = 0

    async def close_at_the_second(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turns
        turns += 1
        if turns == 2:
            writer.close()
        else:
            writer.write(OK)

    async with scripted(path, close_at_the_second) as (relay, _):
        await ask(relay)
        with pytest.raises(RelayError):
            await ask(relay)
        assert (await ask(relay)).body == b"ok"

    assert turns == 3


async def test_a_new_connection_that_breaks_is_not_tried_again(path: str) -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with scripted(path, close) as (relay, server):
        with pytest.raises(RelayError):
            await ask(relay)

    assert len(server.requests) == 1


# No server.


async def test_a_server_that_is_not_there_is_an_error(path: str) -> None:
    with pytest.raises(RelayError) as gone:
        await ask(Relay(path=path))
    with pytest.raises(RelayError) as refused:
        await ask(Relay(host="127.0.0.1", port=1))

    assert isinstance(gone.value.__cause__, FileNotFoundError)
    assert isinstance(refused.value.__cause__, ConnectionRefusedError)


async def test_a_server_that_has_gone_is_an_error_and_one_that_is_back_is_asked(path: str) -> None:
    async with scripted(path, says(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))) as (relay, _):
        await ask(relay)
    with pytest.raises(RelayError):
        await ask(relay)

    os.unlink(path)  # noqa: PTH108  a path's own method is said to block
    async with scripted(path, says(OK)):
        assert (await ask(relay)).body == b"ok"
