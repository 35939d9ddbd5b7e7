"""Many requests at the same instant: an ordinary client in Python is slower than the service, and fills no batch."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit


async def volley(url: str, route: str, requests: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    """Open a connection for each request, then send all at once. Returns statuses and bodies, in order."""
    address = urlsplit(url)
    connections = [await asyncio.open_connection(address.hostname, address.port) for _ in requests]
    for (_, writer), request in zip(connections, requests, strict=True):
        body = json.dumps(request).encode()
        head = f"POST {route} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(head.encode() + b"\r\nConnection: close\r\n\r\n" + body)
    answers = await asyncio.gather(*(reader.read() for reader, _ in connections))
    for _, writer in connections:
        writer.close()
    return [_parsed(answer) for answer in answers]


def _parsed(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)
