"""Logs are JSON, or readable at a terminal, carry the request's id, and say nothing of what callers sent."""

import json
import logging
import os
import re
import subprocess
import sys
from http import HTTPStatus

import pytest
from bentoml.exceptions import BentoMLException
from pydantic import BaseModel, ValidationError

from marmita.telemetry import logs
from tests.e2e.server import ROOT

SPEAK = """
import logging
from marmita.telemetry import logs
logs.configure()
logs.configure()
logs.request_id.set('id-1')
for name in ('marmita.some.where', 'bentos.iris', 'training.iris', 'elsewhere'):
    logging.getLogger(name).debug('too much')
    logging.getLogger(name).info('so it is')
try:
    raise RuntimeError('boom')
except RuntimeError:
    logging.getLogger('elsewhere').exception('it failed', extra={'fields': {'status': 500}})
"""


def refused() -> Exception:
    class Age(BaseModel):
        age: int

    try:
        Age.model_validate({"age": "4711 is my secret"})
    except ValidationError as error:
        return error
    raise AssertionError


def lines(
    error: Exception | None, capsys: pytest.CaptureFixture[str], message: str = "it happened"
) -> list[dict[str, object]]:
    """What a handler that was set up as BentoML's are writes about an error."""
    logger = logging.getLogger("bentoml")
    handler = logging.StreamHandler()
    before = logger.handlers
    logger.handlers = [handler]
    try:
        logs.configure()
        token = logs.request_id.set("id-1")
        arguments = ("/here", "POST") if message == logs.BENTOML_ERROR else ()
        logger.error(message, *arguments, exc_info=error, extra={"fields": {"status": 500}})
        logs.request_id.reset(token)
    finally:
        logger.handlers = before
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_its_time_level_id_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(None, capsys)

    assert line["message"] == "it happened"
    assert line["level"] == "error"
    assert line["request_id"] == "id-1"
    assert line["status"] == 500
    assert str(line["time"]).endswith("+00:00")


def test_a_fault_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(RuntimeError("boom"), capsys)

    assert "RuntimeError: boom" in str(line["exception"])


@pytest.mark.parametrize(
    "error", [refused(), BentoMLException("4711 is my secret", error_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)]
)
def test_what_callers_send_is_not_logged(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(error, capsys, logs.BENTOML_ERROR) == []


@pytest.mark.parametrize("error", [refused(), RuntimeError("boom")])
def test_a_fault_of_our_own_is_logged(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that looks like a refused request, but happened elsewhere."""
    (line,) = lines(error, capsys)

    assert type(error).__name__ in str(line["exception"])


def test_a_command_without_handlers_gets_one_that_speaks_for_all_of_ours() -> None:
    done = subprocess.run([sys.executable, "-c", SPEAK], cwd=ROOT, capture_output=True, text=True, check=True)

    *said, failed = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["logger"], line["level"]) for line in said] == [
        ("marmita.some.where", "info"),
        ("bentos.iris", "info"),
        ("training.iris", "info"),
    ]
    assert "RuntimeError: boom" in failed["exception"]
    assert done.stdout == ""


def test_at_a_terminal_a_person_can_read_it() -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen([sys.executable, "-c", SPEAK], cwd=ROOT, stdout=theirs, stderr=theirs) as process:
        process.wait(60)
    os.close(theirs)
    first, *_, traceback_end = os.read(ours, 65_536).decode().strip().splitlines()
    os.close(ours)

    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    marmita\.some\.where: so it is \[pid=\d+ request_id=id-1\]", first)
    assert traceback_end == "RuntimeError: boom"


def test_it_is_as_quiet_as_bentoml_was_told_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    bentoml = logging.getLogger("bentoml")
    before = bentoml.level
    try:
        bentoml.setLevel(logging.ERROR)
        logs.configure()
        assert not logging.getLogger("marmita.some.where").isEnabledFor(logging.INFO)
    finally:
        bentoml.setLevel(before)
        logs.configure()
