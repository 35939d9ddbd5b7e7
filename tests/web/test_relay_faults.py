"""Servers that answer a relay in each wrong way that there is."""

import asyncio

import pytest

from marmita.web.relay import RelayError, Response
from tests.web.relayed import OK, ask, says, scripted

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
