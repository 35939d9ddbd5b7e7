"""Logs as one JSON object a line, each with the id of the request that it belongs to."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from http import HTTPStatus

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

REFUSED = "Exception on %s [%s]"
"""How BentoML logs whatever an endpoint raises."""

REQUEST_ID = "x-request-id"
"""The header, and the name under which the id goes along to runners in other processes."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonFormatter(logging.Formatter):
    """A record, its `extra={"fields": {...}}` and the request's id."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        if (id := request_id.get()) is not None:
            line["request_id"] = id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure() -> None:
    """Turn the handlers that BentoML has set up for a worker to JSON."""
    for name in ("", "bentoml"):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonFormatter())
            handler.addFilter(_not_the_callers_fault)


def _not_the_callers_fault(record: logging.LogRecord) -> bool:
    """BentoML logs a traceback for each rejected request, data included. The access log's line is enough for those."""
    if record.msg != REFUSED:
        return True
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BentoMLException):
        return error.error_code.value >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not isinstance(error, ValidationError)
