"""Uploads: bodies that are too large for memory, passed on block by block within limits on size, time and number."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import monotonic

from starlette.types import Receive

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call, Form, Route
from marmita.settings import Settings
from marmita.timeouts import Deadline, DeadlineError
from marmita.web.request_body import FULL, check_headers, client_left, expects_continue, too_large

MAX_IN_PROGRESS = 8
"""The number of uploads that a worker receives at a time. Uploads over the limit get 429 immediately."""
_BLOCK_BYTES = 256 * 1024
"""A block of this size must arrive within the time limit of a body, so that an upload can't take forever."""
_DISCARD_FACTOR = 2
"""A rejected upload is read and discarded up to this multiple of the limit. Most clients read the answer only after
they have sent everything, and would see a broken connection in place of the error."""


class Uploads:
    """The reader of uploads. It does not count as load: a slow upload must keep no prediction waiting."""

    def __init__(self, settings: Settings, is_draining: Callable[[], bool] = lambda: False) -> None:
        self._largest = settings.upload_max_bytes
        self._deadline = Deadline(settings.body_timeout.total_seconds())
        self._is_draining = is_draining
        self._in_progress = 0

    async def read(self, route: Route, call: Call, receive: Receive) -> Form:
        """Read the body of an upload. Whoever gets the form must close it."""
        assert route.receive is not None
        check_headers(call.headers, route.media_types, self._largest)
        if self._in_progress >= MAX_IN_PROGRESS:
            raise RequestError(ErrorCode.OVERLOADED, FULL)
        self._in_progress += 1
        blocks = _Blocks(receive, self._largest, self._deadline, self._is_draining)
        try:
            return await route.receive(call, blocks.read())
        except RequestError:
            if blocks.begun or not expects_continue(call.headers):
                await blocks.discard()
            raise
        finally:
            self._in_progress -= 1


class _Blocks:
    """The blocks of one body."""

    def __init__(self, receive: Receive, largest: int, deadline: Deadline, is_draining: Callable[[], bool]) -> None:
        self._receive = receive
        self._largest = largest
        self._deadline = deadline
        self._is_draining = is_draining
        self._drains_since: float | None = None
        self._size = 0
        self._more = True
        self.begun = False

    async def read(self) -> AsyncIterator[bytes]:
        while self._more:
            block = await self._next()
            if self._size > self._largest:
                raise too_large(self._largest)
            yield block

    async def discard(self) -> None:
        """Read the rest without keeping it."""
        with suppress(RequestError):
            while self._more and self._size <= _DISCARD_FACTOR * self._largest:
                await self._next()

    async def _next(self) -> bytes:
        self.begun = True
        self._check_drain()
        try:
            with self._deadline.begin():
                return await self._receive_block()
        except DeadlineError:
            self._more = False
            message = f"{_BLOCK_BYTES} bytes of the body did not arrive within {self._deadline.seconds:g} s"
            raise RequestError(ErrorCode.BODY_TIMEOUT, message) from None

    async def _receive_block(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while self._more and size < _BLOCK_BYTES:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._more = False
                raise client_left()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            self._more = message.get("more_body", False)
        self._size += size
        return b"".join(chunks)

    def _check_drain(self) -> None:
        """Raise if the worker has been draining for longer than a body may take: an upload must not keep it alive."""
        if not self._is_draining():
            return
        self._drains_since = self._drains_since or monotonic()
        if monotonic() - self._drains_since > self._deadline.seconds:
            self._more = False
            raise RequestError(ErrorCode.SHUTTING_DOWN, "the service is shutting down")
