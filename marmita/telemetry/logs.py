"""Logs: one JSON object a line for machines, readable lines at a terminal, each with the id of its request."""

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from http import HTTPStatus

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

OWN = ("marmita", "bentos", "training")
"""The packages whose loggers speak from `info` on, or from the level that BentoML was told."""

REFUSED = "Exception on %s [%s]"
"""How BentoML logs whatever an endpoint raises."""

REQUEST_ID = "x-request-id"
"""The header, and the name under which the id goes along to runners in other processes."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonFormatter(logging.Formatter):
    """A record, its `extra={"fields": {...}}` and the request's id, as JSON."""

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
    """The same for a person."""

    def format(self, record: logging.LogRecord) -> str:
        return readable(self._line(record))


def readable(line: Mapping[str, object]) -> str:
    """Return a line of the log as a person reads it, with the time of day here."""
    shown = dict(line)
    at = datetime.fromisoformat(str(shown.pop("time"))).astimezone()
    level, logger, message = (str(shown.pop(name)) for name in ("level", "logger", "message"))
    exception = shown.pop("exception", None)
    more = "".join(f" {name}={value}" for name, value in shown.items() if value is not None)
    text = f"{at:%H:%M:%S} {level.upper():<7} {logger}: {message} [{more.lstrip()}]"
    return text if exception is None else f"{text}\n{exception}"


def configure() -> None:
    """Set up the log of this process: of a worker, to which BentoML has given handlers, or of a command, which gets one
    that writes to the standard error. Trainings need none: the shepherd puts what they print into its own log.
    """
    root, bentoml = logging.getLogger(), logging.getLogger("bentoml")
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in {*root.handlers, *bentoml.handlers}:
        handler.setFormatter(ReadableFormatter() if _writes_to_a_terminal(handler) else JsonFormatter())
        handler.addFilter(_not_the_callers_fault)
    for name in OWN:
        logging.getLogger(name).setLevel(bentoml.level or logging.INFO)


def _writes_to_a_terminal(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)  # a file that is opened late has none yet
    return stream is not None and bool(stream.isatty())


def _not_the_callers_fault(record: logging.LogRecord) -> bool:
    """BentoML logs a traceback for each rejected request, data included. The access log's line is enough for those."""
    if record.msg != REFUSED:
        return True
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BentoMLException):
        return error.error_code.value >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not isinstance(error, ValidationError)
