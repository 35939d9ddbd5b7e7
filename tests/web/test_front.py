"""The applications around BentoML's as a whole."""

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from marmita.hooks import LifespanHook
from marmita.settings import Settings
from marmita.web import access_log
from marmita.web.front import RunnerFront, paths
from tests.web.fronts import ASK, INFER, front, lane, receiver, sender, to


def test_all_paths_of_an_application_are_known(tmp_path: Path) -> None:
    (tmp_path / "style.css").touch()
    page = Route("/page", lambda _: PlainTextResponse(""))
    routes = [page, Mount("/below", Starlette(routes=[page])), Mount("/files", StaticFiles(directory=tmp_path))]

    assert paths(routes) == {"/page", "/below/page", "/files/style.css"}


class Hook(LifespanHook):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def begin(self) -> None:
        self.calls.append("begin")

    def end(self) -> None:
        self.calls.append("end")


class Unstarted(LifespanHook):
    def begin(self) -> None:
        pytest.fail("the application has not started")


async def test_hooks_live_as_long_as_the_application() -> None:
    hook, seen = Hook(), list[list[str]]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        seen.append([*hook.calls])
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        seen.append([*hook.calls])
        await send({"type": "lifespan.shutdown.complete"})

    sent: list[Message] = []
    for found in (front(app=app, hooks=[hook]), RunnerFront(app, (), Settings(), lane(), [hook])):
        hook.calls, messages = [], receiver({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        await found({"type": "lifespan"}, messages, sender(sent))
        assert hook.calls == ["begin", "end"]

    assert seen == [[], ["begin"]] * 2
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"] * 2


async def test_no_hook_begins_if_the_application_does_not() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no"})

    sent: list[Message] = []
    await front(app=app, hooks=[Unstarted()])({"type": "lifespan"}, receiver(), sender(sent))

    assert sent[0]["type"] == "lifespan.startup.failed"


async def test_lines_of_the_access_log_are_written_before_the_worker_ends(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", access_log.LOGGER)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    found = front(app=app)
    async with to(found) as asking:
        await asking.post(ASK, json=1)
    assert capsys.readouterr().out == ""

    await found({"type": "lifespan"}, receiver(), sender([]))

    assert ASK in capsys.readouterr().out


async def test_a_runner_in_a_process_of_its_own_writes_no_access_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", access_log.LOGGER)
    async with to(RunnerFront(Starlette(), (), Settings(), lane())) as asking:
        answer = await asking.post(ASK, json=1)
        missing = await asking.post("/nowhere", json=1)
        broken = await asking.post("/v2/broken", json=1)
    await asyncio.sleep(0.2)

    assert [answer.status_code, missing.status_code, broken.status_code] == [200, 404, 500]
    assert set(broken.json()) == {"error"}
    assert "marmita.web.access_log" not in capsys.readouterr().out


async def test_what_is_no_request_is_the_application_s() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await front(app=app)({"type": "websocket", "path": ASK}, receiver(), sender([]))

    assert seen == ["websocket"]


@pytest.mark.parametrize("path", [ASK, INFER])
async def test_requests_at_once_get_their_own_answers(path: str) -> None:
    async with to(front()) as asking:
        answers: list[httpx.Response] = await asyncio.gather(
            *(asking.post(path, content=b"%d" % n) for n in range(100))
        )

    assert [answer.content for answer in answers] == [b"%d" % n for n in range(100)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 100
