"""Servers that a relay asks: uvicorn, and one that answers as a script says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope, Send

from marmita.web.relay import Relay, Response
from tests.web.servers import serving

LIMIT = 10
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


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
