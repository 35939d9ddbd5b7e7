"""Clients that ask without a pause and say what became of each request, whatever the server goes through."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

LOST, REFUSED = "lost", "refused"


@asynccontextmanager
async def crowd(
    url: str,
    route: str,
    request: dict[str, Any],
    clients: int = 16,
    read: Callable[[bytes], None] = lambda _: None,
) -> AsyncIterator[Counter[int | str]]:
    """Ask until the block ends, and read each answer. A client leaves when its connection is refused; a request that
    was sent and not answered is lost.
    """
    address = urlsplit(url)
    body = json.dumps(request).encode()
    head = (
        f"POST {route} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    counts: Counter[int | str] = Counter()
    over = asyncio.Event()

    async def ask_on() -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not over.is_set():
            try:
                connection = connection or await asyncio.open_connection(address.hostname, address.port)
            except ConnectionRefusedError:
                counts[REFUSED] += 1
                return
            reader, writer = connection
            try:
                writer.write(head.encode() + body)
                answer = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
                read(await reader.readexactly(size))
            except (OSError, asyncio.IncompleteReadError):
                counts[LOST] += 1
                connection = None
                continue
            counts[int(answer.split()[1])] += 1
            if b"connection: close" in answer:
                writer.close()
                connection = None
        if connection:
            connection[1].close()

    async with asyncio.TaskGroup() as asking:
        for _ in range(clients):
            asking.create_task(ask_on())
        try:
            yield counts
        finally:
            over.set()
