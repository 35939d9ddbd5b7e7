"""HTTP exchanges: a request on its way through the front, and its answer."""

import os
import re
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from marmita.contract.replies import Reply
from marmita.telemetry import logs

REQUEST_ID = logs.REQUEST_ID.encode()

_GOOD_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class Exchange:
    """An HTTP request, with the method that answers it."""

    __slots__ = ("_ending", "ends_connection", "headers", "id", "method", "path", "receive", "scope", "send", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, ending: Callable[[], bool]) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self._ending = ending
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(REQUEST_ID, b"").decode("latin-1")
        self.id = given if _GOOD_ID.fullmatch(given) else os.urandom(16).hex()
        self.status = 0
        """The status of the answer. Zero until the answer begins."""
        self.ends_connection = False
        """Whether the connection closes after the answer, without reading the rest of the request."""

    def own_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of every answer, BentoML's own included."""
        headers = [(REQUEST_ID, self.id.encode())]
        if self.ends_connection or self._ending():
            headers.append((b"connection", b"close"))
        return headers

    async def reply(self, reply: Reply) -> None:
        """Send an answer."""
        self.status = reply.status
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            *reply.headers,
            *self.own_headers(),
        ]
        await self.send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": reply.body})
