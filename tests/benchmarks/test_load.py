"""The load generator, against servers that do what real ones do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from benchmarks.load import closed, flood

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Callable[[int], bytes | None], delay: float = 0.0) -> AsyncIterator[int]:
    """Answers the n-th request with these bytes, and hangs up where there are none or the bytes say so."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                await reader.readexactly(len(REQUEST))
                count += 1
                said = answer(count)
                await asyncio.sleep(delay)
                if said is None:
                    break
                writer.write(said)
                if b"close" in said:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


def plan(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "clients": 2, "seconds": 0.2, **more}


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"


async def test_answers_are_counted_by_status_with_their_latencies() -> None:
    async with server(lambda n: GOOD if n % 2 else GOOD.replace(b"200 OK", b"429 Too Many"), delay=0.005) as port:
        came = await closed(plan(port), [REQUEST])

    assert set(came["answers"]) == {200, 429}
    assert came["unanswered"] == 0
    for one in came["answers"].values():
        assert one["count"] > 5
        assert 0.005 <= one["p50"] <= one["p99"] <= one["max"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000,
    ],
    ids=["empty", "chunked", "closing", "large"],
)
async def test_all_ways_to_answer_are_understood(answer: bytes) -> None:
    async with server(lambda _: answer) as port:
        came = await closed(plan(port), [REQUEST])

    assert set(came["answers"]) == {200}
    assert came["answers"][200]["count"] > 5
    assert came["unanswered"] == 0


async def test_a_broken_connection_counts_as_status_zero() -> None:
    async with server(lambda n: None if n == 3 else GOOD) as port:
        came = await closed(plan(port), [REQUEST])

    assert came["answers"][0]["count"] == 1
    assert came["answers"][200]["count"] > 5


async def test_a_flood_does_not_wait_for_answers() -> None:
    async with server(lambda _: GOOD, delay=0.02) as port:
        came = await flood(plan(port, rate=500, connections=50, probe_seconds=0.3), [REQUEST])

    assert came["answers"][200]["count"] == 100
    assert came["unanswered"] == 0
    assert came["after"][0]["worst_status"] == 200
    assert came["after"][0]["p50"] >= 0.02


async def test_who_waits_for_a_connection_is_late_or_gives_up() -> None:
    async with server(lambda _: GOOD, delay=0.05) as port:
        came = await flood(plan(port, rate=500, connections=1, probe_seconds=0.1), [REQUEST])

    assert came["answers"][200]["count"] + came["unanswered"] == 100
    assert came["answers"][200]["max"] > 0.1
    assert came["unanswered"] > 50
