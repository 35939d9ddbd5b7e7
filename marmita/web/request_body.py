"""Reading requests' bodies within bounds: of each one's size and time, and of what all of them take together."""

from collections.abc import Collection, Mapping

from starlette.types import Message, Receive

from marmita.contract.errors import ErrorCode, RequestError
from marmita.settings import Settings
from marmita.timeouts import Deadline, DeadlineError

_DRAIN = 8
"""A body that is too large is read up to so many times the limit and thrown away: most clients listen only after they
have sent everything, and would see a broken connection in place of the error."""
_HELD = 8
"""The bodies of all requests together may take so many times what one may."""
FULL = "the service is full: try again in a moment"


class RequestBodies:
    """All bodies that a worker holds."""

    def __init__(self, settings: Settings, together: float = _HELD) -> None:
        self._largest = settings.max_body_bytes
        self._deadline = Deadline(settings.body_timeout.total_seconds())
        self._most_held = together * self._largest
        self._held = 0

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive, media_types: Collection[bytes]) -> bytes:
        """Read a whole body of one of these media types, or of any. It counts as held until it is released."""
        media_type = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
        if media_types and media_type not in media_types:
            wanted, found = b" or ".join(media_types).decode(), media_type[:100].decode("latin-1")
            raise RequestError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"the body must be {wanted}, not {found}")
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise RequestError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
        declared = headers.get(b"content-length", b"")
        waits_for_us = headers.get(b"expect", b"").lower() == b"100-continue"
        if waits_for_us and declared.isdigit() and int(declared) > self._largest:
            raise self._too_large()
        try:
            with self._deadline.begin():
                return await self._read(receive)
        except DeadlineError:
            raise RequestError(
                ErrorCode.BODY_TIMEOUT, f"the body did not arrive within {self._deadline.seconds:g} s"
            ) from None

    def release(self, size: int) -> None:
        """A body of this size is no longer needed."""
        self._held -= size

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = kept = 0
        more = True
        try:
            while more and size <= _DRAIN * self._largest:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestError(ErrorCode.INVALID_REQUEST, "the client left before its body was complete")
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                if size > self._largest:
                    self._held -= kept
                    kept = 0
                    chunks.clear()
                    continue
                if self._held + len(chunk) > self._most_held:
                    raise RequestError(ErrorCode.OVERLOADED, FULL)
                self._held += len(chunk)
                kept += len(chunk)
                chunks.append(chunk)
            if size > self._largest:
                raise self._too_large()
        except BaseException:
            self._held -= kept
            raise
        return b"".join(chunks)

    def _too_large(self) -> RequestError:
        return RequestError(ErrorCode.BODY_TOO_LARGE, f"the body is larger than {self._largest} bytes")


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return what hands a body on as one message, to an application that reads it by itself."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message
