"""The relay against real servers: good ones, and ones that go wrong in each way that there is."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from marmita.web.relay import Relay, RelayError, Response
from tests.web.servers import serving

LIMIT = 10
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def path(socket_path: Path) -> str:
    return str(socket_path)


class Scripted:
    """A server that answers each request as a script says, and counts."""

    def __init__(self, script: Serve) -> None:
        self._script = script
        self.connections = 0
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(size))
                await self._script(reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # the test has ended, or the relay has closed the connection
        finally:
            writer.close()


@asynccontextmanager
async def scripted(path: str, script: Serve) -> AsyncIterator[tuple[Relay, Scripted]]:
    serving = Scripted(script)
    server = await asyncio.start_unix_server(serving, path)
    try:
        async with asyncio.timeout(LIMIT):
            yield Relay(path=path), serving
    finally:
        server.close()


def says(*parts: bytes) -> Serve:
    """Answer each request with the next of these, the last one from then on."""
    left = list(parts)

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return say


async def ask(relay: Relay, body: bytes = b"", method: str = "POST") -> Response:
    return await relay.ask(method, "/ask", [], body)


@asynccontextmanager
async def echoing(path: str, keep_alive_s: int = 5) -> AsyncIterator[tuple[Relay, list[object]]]:
    """uvicorn, which answers with the body that it was sent, and the connections of all requests."""
    clients: list[object] = []

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        clients.append(scope["path"])
        if body.startswith(b"wait"):
            await asyncio.sleep(0.05)
        status = 404 if scope["path"] == "/missing" else 200
        headers = [*scope["headers"], (b"X-Is", b"Echo")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with serving(echo, path, keep_alive_s), asyncio.timeout(LIMIT):
        yield Relay(path=path), clients


# A good server.


async def test_an_answer_is_brought_back_whole(path: str) -> None:
    async with echoing(path) as (relay, _):
        found = await relay.ask("POST", "/missing", [(b"x-request-id", b"abc-1")], b"[1]")

    assert (found.status, found.body) == (404, b"[1]")
    headers = dict(found.headers)
    assert (headers[b"x-request-id"], headers[b"x-is"], headers[b"content-length"]) == (b"abc-1", b"Echo", b"3")


async def test_a_server_can_be_reached_by_its_port() -> None:
    server = await asyncio.start_server(Scripted(says(OK)), "127.0.0.1", 0)
    async with server, asyncio.timeout(LIMIT):
        host, port = server.sockets[0].getsockname()
        assert (await ask(Relay(host=host, port=port))).body == b"ok"


async def test_many_requests_at_once_get_their_own_answers_over_few_connections(path: str) -> None:
    async with echoing(path) as (relay, _):
        for _round in range(5):
            bodies = [b"%d" % number * (1 + number % 50) for number in range(200)]
            answers = await asyncio.gather(*(ask(relay, body) for body in bodies))
            assert [answer.body for answer in answers] == bodies


async def test_requests_one_after_the_other_share_a_connection(path: str) -> None:
    async with scripted(path, says(OK)) as (relay, server):
        for _ in range(10):
            await ask(relay)
        await asyncio.gather(*(ask(relay) for _ in range(3)))
        await asyncio.gather(*(ask(relay) for _ in range(3)))

    assert server.connections == 3
    assert len(server.requests) == 16


async def test_a_large_body_goes_and_comes_back(path: str) -> None:
    body = bytes(range(256)) * 65_536  # 16 MiB
    async with echoing(path) as (relay, _):
        assert (await ask(relay, body)).body == body
        assert (await ask(relay, b"[1]")).body == b"[1]"


async def test_an_answer_in_chunks_is_put_together(path: str) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with scripted(path, says(chunked)) as (relay, server):
        assert [(await ask(relay)).body for _ in range(2)] == [b"abcde"] * 2

    assert server.connections == 1


async def test_an_answer_that_comes_byte_by_byte_is_put_together(path: str) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in OK:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

    async with scripted(path, drip) as (relay, _):
        assert [(await ask(relay)).body for _ in range(2)] == [b"ok"] * 2


async def test_an_answer_without_a_body_is_one(path: str) -> None:
    async with scripted(path, says(b"HTTP/1.1 204 No Content\r\n\r\n")) as (relay, server):
        assert [(await ask(relay)).body for _ in range(2)] == [b""] * 2

    assert server.connections == 1


# Connections that end.


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


# Answers that go wrong.

WRONG = {
    "half a status": b"HTTP/1.1 20",
    "half the headers": b"HTTP/1.1 200 OK\r\ncontent-le",
    "half the body": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345",
    "half a chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n12345",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n12345",
    "garbage": b"\x00\xff what? \r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nxx",
}


@pytest.mark.parametrize("is_used", [False, True])
@pytest.mark.parametrize("what", WRONG)
async def test_an_answer_that_breaks_off_or_is_none_fails_and_is_not_asked_for_again(
    path: str, what: str, is_used: bool
) -> None:
    turns = 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turns
        turns += 1
        if turns == 1 and is_used:
            writer.write(OK)
            return
        writer.write(WRONG[what])
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.close()

    async with scripted(path, answer) as (relay, _):
        if is_used:
            await ask(relay)
        asked = turns
        with pytest.raises(RelayError):
            await ask(relay)

    assert turns == asked + 1


async def test_after_an_answer_that_went_wrong_the_next_one_is_right(path: str) -> None:
    async with scripted(path, says(WRONG["garbage"], OK)) as (relay, server):
        with pytest.raises(RelayError):
            await ask(relay)
        assert (await ask(relay)).body == b"ok"

    assert server.connections == 2


BEHIND = [OK.replace(b"ok", b"no"), OK.replace(b"ok", b"no")[:-1], OK[:20], b"garbage", b"HTTP/1.1 500 Oh\r\nx: y\r\n"]


@pytest.mark.parametrize("more", BEHIND)
async def test_what_comes_behind_an_answer_is_nobody_s(path: str, more: bytes) -> None:
    async with scripted(path, says(OK + more, OK)) as (relay, server):
        first, second = await ask(relay), await ask(relay)

    assert first == second == Response(200, [(b"content-length", b"2")], b"ok")
    assert server.connections == 2


async def test_what_comes_without_having_been_asked_for_is_nobody_s(path: str) -> None:
    async def answer_twice(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(OK.replace(b"ok", b"no"))

    async with scripted(path, answer_twice) as (relay, server):
        await ask(relay)
        await asyncio.sleep(0.1)
        assert (await ask(relay)).body == b"ok"

    assert server.connections == 2


# Callers that go.


async def test_who_stops_waiting_leaves_no_answer_behind(path: str) -> None:
    async with echoing(path) as (relay, clients):
        await asyncio.gather(*(ask(relay, b"wait") for _ in range(10)))
        for _ in range(5):
            impatient = [asyncio.create_task(ask(relay, b"wait %d" % number)) for number in range(10)]
            await asyncio.sleep(0.01)
            for task in impatient[::2]:
                task.cancel()
            others = [ask(relay, b"own %d" % number) for number in range(20)]
            answers = await asyncio.gather(*others)
            assert [answer.body for answer in answers] == [b"own %d" % number for number in range(20)]
            patient = await asyncio.gather(*impatient, return_exceptions=True)
            for number, answer in enumerate(patient):
                if number % 2 == 0:
                    assert isinstance(answer, asyncio.CancelledError)
                else:
                    assert isinstance(answer, Response)
                    assert answer.body == b"wait %d" % number

    assert len(clients) >= 10 + 5 * 25


async def test_who_stops_waiting_when_the_answer_is_there_leaves_it_to_nobody(path: str) -> None:
    """The answer has arrived, but its caller has not been told yet."""
    async with scripted(path, says(OK, OK.replace(b"ok", b"no"))) as (relay, server):
        await ask(relay)
        for turns in range(12):
            asking = asyncio.create_task(ask(relay, b"x"))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            assert (await ask(relay, b"mine")).body == b"no"
            assert server.requests[-1].endswith(b"mine")


async def test_a_connection_whose_caller_has_gone_is_closed(path: str) -> None:
    closed = asyncio.Event()

    async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    async with scripted(path, never) as (relay, _):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(relay), 0.05)
        await closed.wait()


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
