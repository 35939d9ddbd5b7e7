"""Messages of a training process to its trainer: lines of its output that begin with a mark, with a JSON object."""

import json
import os
from typing import Any

PROGRESS, RESULT, ERROR = "progress", "result", "error"

TRY_AGAIN = os.EX_TEMPFAIL
"""The exit status of a training process that could not read its order."""

_MARK = "marmita-training "
_MAX_TEXT = 400
"""The most characters of a text in a message: a trainer splits lines that are longer than 8,000 bytes."""


def send(kind: str, content: dict[str, Any]) -> None:
    """Print a message."""
    shortened = {key: value[:_MAX_TEXT] if isinstance(value, str) else value for key, value in content.items()}
    print(f"{_MARK}{json.dumps({kind: shortened}, ensure_ascii=False)}", flush=True)


def read(line: str) -> tuple[str, dict[str, Any]] | None:
    """Return the kind and the content of a message, or None for any other line."""
    if not line.startswith(_MARK):
        return None
    try:
        ((kind, content),) = json.loads(line.removeprefix(_MARK)).items()
    except (AttributeError, ValueError):
        return None
    return kind, content
