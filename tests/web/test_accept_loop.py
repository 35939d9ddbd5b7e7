"""Connections that come together are taken together."""

import asyncio
import socket
from contextlib import suppress

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from marmita.web.accept_loop import AcceptLoop

CONNECTIONS = 60
QUESTION = b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n"


def turns_until_all_have_asked(accepts_together: bool) -> int:
    """How often the loop turns from the first question of many connections to the last one's."""
    turns = 0
    asked: list[int] = []
    all_asked = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(turns)
        if len(asked) == CONNECTIONS:
            all_asked.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def serve(listener: socket.socket) -> None:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.001)
        if accepts_together:
            accepting = AcceptLoop(server)
            await asyncio.sleep(0.05)
        counting = asyncio.create_task(count_turns())
        # The loop stands still meanwhile.
        clients = [socket.create_connection(listener.getsockname()) for _ in range(CONNECTIONS)]
        for client in clients:
            client.sendall(QUESTION)
        async with asyncio.timeout(10):
            await all_asked.wait()
        for client in clients:
            assert (await asyncio.to_thread(client.recv, 100)).startswith(b"HTTP/1.1 204")
            client.close()
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting
        if accepts_together:
            accepting.end()
        server.should_exit = True
        await serving

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        uvloop.run(serve(listener))
    return asked[-1] - asked[0]


def test_many_connections_that_are_opened_at_once_are_read_within_a_few_turns_of_the_loop() -> None:
    assert turns_until_all_have_asked(accepts_together=True) < 10


def test_without_it_each_connection_waits_for_those_before_it() -> None:
    """If this fails, the loop has learned to accept several at a time, and `marmita.accepting` is not needed."""
    assert turns_until_all_have_asked(accepts_together=False) > CONNECTIONS / 2
