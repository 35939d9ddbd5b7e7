"""Logs: one JSON object per line, or readable lines at a terminal, each with the id of its request."""

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from http import HTTPStatus

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

OWN = ("marmita", "bentos", "training")
"""The packages whose loggers have the level `info`, or the level that BentoML is configured with."""

BENTOML_ERROR = "Exception on %s [%s]"
"""The message with which BentoML logs an exception of an endpoint."""

REQUEST_ID = "x-request-id"
"""The header with the request's id, in requests, answers, and requests to remote models."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonFormatter(logging.Formatter):
    """A formatter that writes a record, its `extra={"fields": {...}}` and the request's id as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self._line(record), default=str)

    def _line(self, record: logging.LogRecord) -> dict[str, object]:
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
        return line


class ReadableFormatter(JsonFormatter):
    """A formatter that writes the same content as a readable line."""

    def format(self, record: logging.LogRecord) -> str:
        return readable(self._line(record))


def readable(line: Mapping[str, object]) -> str:
    """Return a log line for people, with the local time of day."""
    shown = dict(line)
    at = datetime.fromisoformat(str(shown.pop("time"))).astimezone()
    level, logger, message = (str(shown.pop(name)) for name in ("level", "logger", "message"))
    exception = shown.pop("exception", None)
    more = "".join(f" {name}={value}" for name, value in shown.items() if value is not None)
    text = f"{at:%H:%M:%S} {level.upper():<7} {logger}: {message} [{more.lstrip()}]"
    return text if exception is None else f"{text}\n{exception}"


def configure() -> None:
    """Configure the logging of this process.

    A worker keeps the handlers that BentoML installed. A command gets one that writes to standard error. A training
    needs no configuration, as the shepherd logs its output.
    """
    root, bentoml = logging.getLogger(), logging.getLogger("bentoml")
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in {*root.handlers, *bentoml.handlers}:
        handler.setFormatter(ReadableFormatter() if _is_terminal(handler) else JsonFormatter())
        handler.addFilter(_is_not_callers_error)
    for name in OWN:
        logging.getLogger(name).setLevel(bentoml.level or logging.INFO)


def _is_terminal(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)  # a FileHandler with `delay` has no stream yet
    return stream is not None and bool(stream.isatty())


def _is_not_callers_error(record: logging.LogRecord) -> bool:
    """Drop BentoML's tracebacks of invalid requests, which include data. The access log has a line for each of them."""
    if record.msg != BENTOML_ERROR:
        return True
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BentoMLException):
        return error.error_code.value >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not isinstance(error, ValidationError)
