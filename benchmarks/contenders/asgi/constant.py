"""The upper bound without a model: an ASGI application that reads the request and sends a constant response."""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]

ANSWER = b'{"quality":[5.0]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
