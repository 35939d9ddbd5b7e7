"""A relay asks a good server, for callers that wait and callers that leave."""

import asyncio

import pytest

from marmita.web.relay import Relay, Response
from tests.web.relayed import LIMIT, OK, Scripted, ask, echoing, says, scripted

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
