"""Errors, in one format: `{"error": "<message>", "code": "<code>", "detail": [{"loc": [], "msg": "", "type": ""}]}`.

It also carries the exceptions of pydantic and BentoML. `error_reply` alone converts them.
"""

import logging
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Self

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError
from pydantic_core import to_json

from marmita.contract.replies import Headers, Reply

_MAX_DETAILS = 20
"""The most details that an answer lists."""
_TOO_MANY = ("too_long", "too_many_keys")
_MAX_LENGTH = 100
"""The most characters of a caller's name or of a message that an answer repeats."""
_RETRY_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_INTERNAL_ERROR = "an unexpected error, see the server's log"

log = logging.getLogger(__name__)


class ErrorCode(StrEnum):
    """The cause of an error, for programs."""

    status: HTTPStatus
    """The status of an answer with this code."""

    INVALID_REQUEST = "invalid_request", HTTPStatus.BAD_REQUEST
    TRAINING_FAILED = "training_failed", HTTPStatus.BAD_REQUEST
    NOT_ENOUGH_HISTORY = "not_enough_history", HTTPStatus.BAD_REQUEST
    UNAUTHORIZED = "unauthorized", HTTPStatus.UNAUTHORIZED
    CROSS_ORIGIN = "cross_origin", HTTPStatus.FORBIDDEN
    NOT_FOUND = "not_found", HTTPStatus.NOT_FOUND
    MODEL_NOT_FOUND = "model_not_found", HTTPStatus.NOT_FOUND
    PREDICTION_NOT_FOUND = "prediction_not_found", HTTPStatus.NOT_FOUND
    TRAINING_NOT_FOUND = "training_not_found", HTTPStatus.NOT_FOUND
    PRICES_NOT_FOUND = "prices_not_found", HTTPStatus.NOT_FOUND
    METHOD_NOT_ALLOWED = "method_not_allowed", HTTPStatus.METHOD_NOT_ALLOWED
    CONFLICT = "conflict", HTTPStatus.CONFLICT
    NAME_TAKEN = "name_taken", HTTPStatus.CONFLICT
    TRAINING_ENDED = "training_ended", HTTPStatus.CONFLICT
    BODY_TIMEOUT = "body_timeout", HTTPStatus.REQUEST_TIMEOUT
    BODY_TOO_LARGE = "body_too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    TOO_MANY_ITEMS = "too_many_items", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    OVERLOADED = "overloaded", HTTPStatus.TOO_MANY_REQUESTS
    QUEUE_FULL = "queue_full", HTTPStatus.TOO_MANY_REQUESTS
    INTERNAL = "internal", HTTPStatus.INTERNAL_SERVER_ERROR
    PRICES_UNAVAILABLE = "prices_unavailable", HTTPStatus.BAD_GATEWAY
    MODEL_UNAVAILABLE = "model_unavailable", HTTPStatus.SERVICE_UNAVAILABLE
    MODEL_OVERLOADED = "model_overloaded", HTTPStatus.SERVICE_UNAVAILABLE
    STORAGE_UNAVAILABLE = "storage_unavailable", HTTPStatus.SERVICE_UNAVAILABLE
    DATABASE_UNAVAILABLE = "database_unavailable", HTTPStatus.SERVICE_UNAVAILABLE
    SHUTTING_DOWN = "shutting_down", HTTPStatus.SERVICE_UNAVAILABLE
    STORAGE_FULL = "storage_full", HTTPStatus.INSUFFICIENT_STORAGE
    DEADLINE_EXCEEDED = "deadline_exceeded", HTTPStatus.GATEWAY_TIMEOUT

    def __new__(cls, code: str, status: HTTPStatus) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.status = status
        return member

    @classmethod
    def of(cls, status: int) -> "ErrorCode":
        """Return the first code with this status, for an error of which only the status is known."""
        unknown = cls.INTERNAL if status >= HTTPStatus.INTERNAL_SERVER_ERROR else cls.INVALID_REQUEST
        return next((code for code in cls if code.status == status), unknown)


class RequestError(Exception):
    """The failure of a request, with the code, the status and the message of its answer."""

    def __init__(
        self,
        code: ErrorCode,
        error: str,
        detail: list[Mapping[str, Any]] | str | None = None,
        headers: Headers = (),
        status: HTTPStatus | None = None,
    ) -> None:
        super().__init__(error)
        self.code = code
        self.status = status or code.status
        self.error = error
        self.detail = detail or []
        self.headers = headers


def error_reply(error: Exception, with_details: bool = True) -> Reply:
    """Return the answer to a request that failed. A fault of the service is logged, and its details are not sent."""
    failure = as_request_error(error)
    content: dict[str, Any] = {"error": failure.error}
    if with_details:
        content |= {"code": failure.code, "detail": failure.detail}
    headers = ((b"retry-after", b"1"), *failure.headers) if failure.status in _RETRY_LATER else failure.headers
    return Reply(failure.status.value, to_json(content), headers=headers)


def status_reply(status: int, headers: Headers = ()) -> Reply:
    """Return the error answer for a status without an exception."""
    known = HTTPStatus(status)
    return error_reply(RequestError(ErrorCode.of(status), known.phrase, headers=headers, status=known))


def as_request_error(error: Exception) -> RequestError:
    """Return the failure of a request for any exception. An unexpected one is logged."""
    match error:
        case RequestError():
            return error
        case ValidationError():
            return _invalid(error)
        case BentoMLException() if error.error_code.value < HTTPStatus.INTERNAL_SERVER_ERROR or (
            error.error_code == HTTPStatus.SERVICE_UNAVAILABLE
        ):
            status = HTTPStatus(error.error_code.value)
            return RequestError(ErrorCode.of(status), str(error), status=status)
        case _:
            log.error("unexpected error in a request", exc_info=error)
            return RequestError(ErrorCode.INTERNAL, _INTERNAL_ERROR)


def _invalid(error: ValidationError) -> RequestError:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    detail = [
        {
            "loc": [part if isinstance(part, int) else _truncate(part) for part in item["loc"]],
            "msg": _truncate(item["msg"]),
            "type": item["type"],
        }
        for item in found[:_MAX_DETAILS]
    ]
    is_too_many = any(item["type"] in _TOO_MANY for item in detail)
    code = ErrorCode.TOO_MANY_ITEMS if is_too_many else ErrorCode.INVALID_REQUEST
    return RequestError(code, _message(detail[0], len(found) - 1), [*detail])


def _truncate(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"


def _message(first: Mapping[str, Any], others: int) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    more = f" (and {others} more)" if others else ""
    return f"{where or 'body'}: {first['msg']}{more}"
