"""The one shape of errors: `{"error": "<one sentence>", "detail": [{"loc": [...], "msg": "...", "type": "..."}]}`.

BentoML, Starlette and pydantic each have their own. What they say is kept, in our shape.
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from marmita.contract import Error, ErrorDetail

_SHOWN = 20
"""More single errors than this help nobody."""


def unified(status: int, body: bytes) -> tuple[int, Error]:
    """An error answer of any origin, in our shape, with the status that the house gives it."""
    try:
        said = json.loads(body)
    except ValueError:
        said = body.decode("utf-8", "replace").strip()
    if isinstance(said, list) and said:
        said = said[0]
    detail = _detail(said.get("detail")) if isinstance(said, dict) else []
    if detail:
        return _status(status, detail), Error(error=_sentence(detail), detail=detail)
    text = said.get("error") if isinstance(said, dict) else said
    return status, Error(error=str(text or HTTPStatus(status).phrase), detail=[])


def _detail(items: Any) -> list[ErrorDetail]:
    if not isinstance(items, list):
        return []
    return [ErrorDetail(loc=item["loc"], msg=item["msg"], type=item["type"]) for item in items[:_SHOWN]]


def _status(status: int, detail: Sequence[ErrorDetail]) -> int:
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if any(item.type == "too_long" for item in detail) else status


def _sentence(detail: Sequence[ErrorDetail]) -> str:
    first = detail[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first.loc).lstrip(".")
    more = f" (and {len(detail) - 1} more)" if len(detail) > 1 else ""
    return f"{where or 'body'}: {first.msg}{more}"
