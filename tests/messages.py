"""What messages mention: the fields, figures, files and models of errors and log lines that have no other place."""

import logging
import re

import pytest


def mentions(message: str, *values: object) -> bool:
    """Tell whether a message mentions all of these values, each as a word of its own: 3 is not in "13" or "3.5"."""
    return all(re.search(rf"(?<![\w.]){re.escape(str(value))}(?!\w|\.\d)", message) for value in values)


def logged(caplog: pytest.LogCaptureFixture, logger: str, level: str, *values: object) -> list[logging.LogRecord]:
    """Return a logger's lines of a level that mention all of these values."""
    lines = [one for one in caplog.records if (one.name, one.levelname) == (logger, level)]
    return [line for line in lines if mentions(line.getMessage(), *values)]
