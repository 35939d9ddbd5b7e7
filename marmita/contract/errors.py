"""The one shape of errors: `{"error": "<one sentence>", "detail": [{"loc": [...], "msg": "...", "type": "..."}]}`.

BentoML, Starlette and pydantic each have their own. What they say is kept, in our shape.
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from marmita.contract.answers import Error, ErrorDetail

_SHOWN = 20
"""More single errors than this help nobody."""
_TOO_MUCH = ("too_long", "too_many_keys")
_LONGEST = 100
"""Longer names are the caller's own noise."""
_UNTOLD = "An unexpected error has occurred, please check the server log."
"""What BentoML says of every fault, also where there is something to tell."""
_TOLD = {HTTPStatus.SERVICE_UNAVAILABLE: "The model can't answer now: try again in a moment."}


class RequestError(Exception):
    """A request that goes no further."""

    def __init__(self, status: HTTPStatus, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


def unified(status: int, body: bytes) -> tuple[int, Error]:
    """An error answer of any origin, in our shape, with the status that the house gives it."""
    try:
        said = json.loads(body)
    except ValueError:
        said = body.decode("utf-8", "replace").strip()
    if isinstance(said, list) and said:
        said = said[0]
    items = said.get("detail") if isinstance(said, dict) else None
    if isinstance(items, list) and items:
        detail = [_detail(item) for item in items[:_SHOWN]]
        return _status(status, detail), Error(error=_sentence(detail[0], len(items) - 1), detail=detail)
    text = said.get("error") if isinstance(said, dict) else said
    if text == _UNTOLD:
        text = _TOLD.get(HTTPStatus(status), text)
    return status, Error(error=str(text or HTTPStatus(status).phrase), detail=[])


def _detail(item: dict[str, Any]) -> ErrorDetail:
    loc = [part if isinstance(part, int) else _short(part) for part in item["loc"]]
    return ErrorDetail(loc=loc, msg=_short(item["msg"]), type=item["type"])


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _status(status: int, detail: Sequence[ErrorDetail]) -> int:
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if any(item.type in _TOO_MUCH for item in detail) else status


def _sentence(first: ErrorDetail, others: int) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first.loc).lstrip(".")
    more = f" (and {others} more)" if others else ""
    return f"{where or 'body'}: {first.msg}{more}"
