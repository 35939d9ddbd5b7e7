"""The one shape of errors: `{"error": "<one sentence>", "detail": [{"loc": [...], "msg": "...", "type": "..."}]}`.

What pydantic and BentoML raise is told in it, once, where the answer is made.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError
from pydantic_core import to_json

from marmita.contract.replies import Headers, Reply

_SHOWN = 20
"""More single errors than this help nobody."""
_TOO_MUCH = ("too_long", "too_many_keys")
_LONGEST = 100
"""Longer names are the caller's own noise."""
_RETRY_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_FAULT = "an unexpected error, see the server's log"

log = logging.getLogger(__name__)


class RequestError(Exception):
    """A request that goes no further, and what its sender is told."""

    def __init__(
        self,
        status: HTTPStatus,
        error: str,
        detail: list[Mapping[str, Any]] | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.detail = detail or []
        self.headers = headers


def error_reply(error: Exception, in_full: bool = True) -> Reply:
    """Return the answer to a request that failed. What is no fault of the request is logged and not told."""
    told = _told(error)
    content = {"error": told.error, "detail": told.detail} if in_full else {"error": told.error}
    headers = ((b"retry-after", b"1"), *told.headers) if told.status in _RETRY_LATER else told.headers
    return Reply(told.status.value, to_json(content), headers=headers)


def status_reply(status: int, headers: Headers = ()) -> Reply:
    """Return the answer to a request of which only a status is known."""
    known = HTTPStatus(status)
    return error_reply(RequestError(known, known.phrase, headers=headers))


def _told(error: Exception) -> RequestError:
    match error:
        case RequestError():
            return error
        case ValidationError():
            return _invalid(error)
        case BentoMLException() if error.error_code.value < HTTPStatus.INTERNAL_SERVER_ERROR or (
            error.error_code == HTTPStatus.SERVICE_UNAVAILABLE
        ):
            return RequestError(HTTPStatus(error.error_code.value), str(error))
        case _:
            log.error("a request failed", exc_info=error)
            return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, _FAULT)


def _invalid(error: ValidationError) -> RequestError:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    detail = [
        {
            "loc": [part if isinstance(part, int) else _short(part) for part in item["loc"]],
            "msg": _short(item["msg"]),
            "type": item["type"],
        }
        for item in found[:_SHOWN]
    ]
    is_too_much = any(item["type"] in _TOO_MUCH for item in detail)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if is_too_much else HTTPStatus.BAD_REQUEST
    return RequestError(status, _sentence(detail[0], len(found) - 1), [*detail])


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _sentence(first: Mapping[str, Any], others: int) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    more = f" (and {others} more)" if others else ""
    return f"{where or 'body'}: {first['msg']}{more}"
