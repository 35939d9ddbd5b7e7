"""What becomes of the errors that operations raise."""

import logging
from http import HTTPStatus

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from marmita.contract.errors import RequestError
from marmita.records.database.database import DatabaseDownError

log = logging.getLogger("bentoml.marmita")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = {"www-authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    return Response(to_json({"error": error.error}), error.status, headers, "application/json")


async def _wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    detail = error.errors(include_url=False, include_context=False, include_input=False)
    return Response(to_json({"detail": detail}), HTTPStatus.BAD_REQUEST, media_type="application/json")


async def _down(_: Request, error: Exception) -> Response:
    log.warning("the database can't be used: %s", error)
    said = "the database can't be used now: try again in a moment"
    return Response(to_json({"error": said}), HTTPStatus.SERVICE_UNAVAILABLE, media_type="application/json")


HANDLERS = {RequestError: _refused, ValidationError: _wrong, DatabaseDownError: _down}
"""What becomes of the errors that these routes raise."""
