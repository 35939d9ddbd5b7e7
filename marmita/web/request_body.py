"""Request bodies, read within limits: on the size and time of each, and on the memory of all together."""

from collections.abc import Collection, Mapping

from starlette.types import Message, Receive

from marmita.contract.errors import ErrorCode, RequestError
from marmita.settings import Settings
from marmita.timeouts import Deadline, DeadlineError

_DISCARD_FACTOR = 8
"""A body over the limit is read and discarded up to this multiple of the limit. Most clients read the answer only after
they have sent the whole body, and would see a broken connection in place of the error."""
_TOTAL_FACTOR = 8
"""The memory limit of all bodies together, as a multiple of the limit of one."""
FULL = "the service is full: try again in a moment"


class RequestBodies:
    """The reader of request bodies, which counts the bytes that a worker holds."""

    def __init__(self, settings: Settings, together: float = _TOTAL_FACTOR) -> None:
        self._largest = settings.max_body_bytes
        self._deadline = Deadline(settings.body_timeout.total_seconds())
        self._max_held = together * self._largest
        self._held = 0

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive, media_types: Collection[bytes]) -> bytes:
        """Read a whole body of one of these media types; empty means any. It counts as held until it is released."""
        check_headers(headers, media_types, self._largest)
        try:
            with self._deadline.begin():
                return await self._read(receive)
        except DeadlineError:
            raise RequestError(
                ErrorCode.BODY_TIMEOUT, f"the body did not arrive within {self._deadline.seconds:g} s"
            ) from None

    def release(self, size: int) -> None:
        """Stop counting a body of this size as held."""
        self._held -= size

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = kept = 0
        more = True
        try:
            while more and size <= _DISCARD_FACTOR * self._largest:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise client_left()
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                if size > self._largest:
                    self._held -= kept
                    kept = 0
                    chunks.clear()
                    continue
                if self._held + len(chunk) > self._max_held:
                    raise RequestError(ErrorCode.OVERLOADED, FULL)
                self._held += len(chunk)
                kept += len(chunk)
                chunks.append(chunk)
            if size > self._largest:
                raise too_large(self._largest)
        except BaseException:
            self._held -= kept
            raise
        return b"".join(chunks)


def check_headers(headers: Mapping[bytes, bytes], media_types: Collection[bytes], largest: int) -> None:
    """Reject a body by its headers: of another media type than these, compressed, or declared as too large."""
    media_type = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    if media_types and media_type not in media_types:
        wanted, found = b" or ".join(media_types).decode(), media_type[:100].decode("latin-1")
        raise RequestError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"the body must be {wanted}, not {found}")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RequestError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
    declared = headers.get(b"content-length", b"")
    if expects_continue(headers) and declared.isdigit() and int(declared) > largest:
        raise too_large(largest)


def expects_continue(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether the client sends the body only after it was asked to."""
    return headers.get(b"expect", b"").lower() == b"100-continue"


def too_large(largest: int) -> RequestError:
    return RequestError(ErrorCode.BODY_TOO_LARGE, f"the body is larger than {largest} bytes")


def client_left() -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, "the client left before its body was complete")


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return an ASGI `receive` that gives a body that was read before, as one message."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message
