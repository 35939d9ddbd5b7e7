"""The log says once when a service is ready, where it is and what it serves."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from marmita.web import ready_line
from marmita.web.ready_line import ReadyLine
from tests.messages import logged

SLOTS: list[Any] = [SimpleNamespace(packed=SimpleNamespace(tag=tag)) for tag in ("iris:v1", "wine:v2")]


@pytest.fixture
def answers(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the models are ready, each time that they are asked."""
    caplog.set_level(logging.INFO, "marmita")
    monkeypatch.setattr(ready_line, "_INTERVAL_S", 0)
    monkeypatch.setattr(ready_line, "own_address", {"Flowers": "http://127.0.0.1:3000"}.get)
    return [False, False, True]


async def wait(line: ReadyLine) -> None:
    line.begin()
    for _ in range(20):
        await asyncio.sleep(0)
    line.end()


def ready_line_of(service: str, answers: list[bool]) -> ReadyLine:
    async def are_ready() -> bool:
        return answers.pop(0)

    return ReadyLine(service, SLOTS, are_ready)


async def test_it_waits_until_all_models_answer(answers: list[bool], caplog: pytest.LogCaptureFixture) -> None:
    await wait(ready_line_of("Flowers", answers))

    assert answers == []
    assert len(logged(caplog, ready_line.__name__, "INFO", "http://127.0.0.1:3000", "iris:v1", "wine:v2")) == 1


async def test_without_an_address_it_names_none(answers: list[bool], caplog: pytest.LogCaptureFixture) -> None:
    await wait(ready_line_of("Others", answers))

    (line,) = logged(caplog, ready_line.__name__, "INFO", "iris:v1", "wine:v2")
    assert "http" not in line.getMessage()


async def test_the_other_workers_say_nothing(
    answers: list[bool], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_line, "is_first_worker", lambda: False)

    await wait(ready_line_of("Flowers", answers))

    assert caplog.messages == []


async def test_one_that_ends_before_it_is_ready_says_nothing(
    answers: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    await wait(ready_line_of("Flowers", [False] * 1000))

    assert caplog.messages == []
