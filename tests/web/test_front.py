"""The front by itself, around small applications that each show one way in which things go."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import aiohttp
import httpx
import pytest
from bentoml.exceptions import ServiceUnavailable
from opentelemetry import propagate
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from marmita.settings import Settings
from marmita.telemetry import logs
from marmita.web import access_log
from marmita.web.front import Front, Inner
from marmita.web.topology import ask

ROUTE = "/ask"
PATHS = [ROUTE, "/livez", "/array", "/object", "/text", "/empty", "/untold"]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the size of the body that it was given."""
    message = await receive()
    await JSONResponse({"size": len(message["body"])})(scope, receive, send)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("the secret of the house")


async def in_its_own_words(scope: Scope, receive: Receive, send: Send) -> None:
    """Errors as BentoML and Starlette put them."""
    said = {
        "/array": JSONResponse([{"error": "not like this"}], 400),
        "/object": JSONResponse({"error": "too many"}, 429),
        "/text": PlainTextResponse("not here", 404),
        "/empty": PlainTextResponse("", 503),
        "/untold": JSONResponse(
            {"error": "An unexpected error has occurred, please check the server log."}, status_code=503
        ),
    }
    await said[scope["path"]](scope, receive, send)


def client(app: object, **settings: float) -> httpx.AsyncClient:
    front = Front(app, PATHS, Settings.model_validate(settings))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://front")


async def test_a_request_gets_an_id_and_keeps_its_own() -> None:
    async with client(echo) as front:
        new, kept = await front.post(ROUTE, json=1), await front.post(ROUTE, json=1, headers={"x-request-id": "abc-1"})

    assert re.fullmatch("[0-9a-f]{32}", new.headers["x-request-id"])
    assert kept.headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("id", ["", "a b", "x" * 129, 'quote"', "ä"])
async def test_an_id_that_could_do_harm_is_replaced(id: str) -> None:
    async with client(echo) as front:
        answer = await front.post(ROUTE, json=1, headers={b"x-request-id": id.encode()})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_a_body_is_handed_on_whole() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10

    async with client(echo) as front:
        answer = await front.post(ROUTE, content=chunks(), headers={"content-type": "application/json"})

    assert answer.json() == {"size": 1000}


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_refused(declared: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x"

    async with client(echo, max_body_bytes=100) as front:
        content = b"x" * 300 if declared else chunks()
        answer = await front.post(ROUTE, content=content, headers={"content-type": "application/json"})
        fits = await front.post(ROUTE, content=b"x" * 100, headers={"content-type": "application/json"})

    assert answer.status_code == 413
    assert answer.json() == {"error": "the body is larger than 100 bytes", "detail": []}
    assert fits.status_code == 200


async def test_a_body_that_does_not_end_is_not_waited_for() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(30)

    async with client(echo, body_timeout_s=0.1) as front:
        answer = await front.post(ROUTE, content=chunks(), headers={"content-type": "application/json"})

    assert answer.status_code == 408


async def test_a_fault_is_a_500_without_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    async with client(broken) as front:
        answer = await front.post(ROUTE, json=1)

    assert answer.status_code == 500
    assert set(answer.json()) == {"error", "detail"}
    assert "secret" not in answer.text
    assert "the secret of the house" in caplog.text


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/array", 400, "not like this"),
        ("/object", 429, "too many"),
        ("/text", 404, "not here"),
        ("/empty", 503, "Service Unavailable"),
        ("/untold", 503, "The model can't answer now: try again in a moment."),
    ],
)
async def test_errors_get_the_one_shape(path: str, status: int, error: str) -> None:
    async with client(in_its_own_words) as front:
        answer = await front.get(path)

    assert answer.status_code == status
    assert answer.json() == {"error": error, "detail": []}
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert ("retry-after" in answer.headers) is (status in (429, 503))


@pytest.mark.parametrize("path", ["/nowhere", ROUTE + "%0a", ROUTE + "/", "//ask", "/livez%00"])
async def test_what_is_not_here_is_not_let_through(path: str) -> None:
    async with client(echo) as front:
        answer = await front.post(path, content=b"x" * 1000, headers={"content-type": "text/plain"})

    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "detail"}


async def test_all_bodies_together_are_bounded() -> None:
    """Many callers that each hold back the last byte."""
    waiting = asyncio.Event()

    async def held_back() -> AsyncIterator[bytes]:
        yield b"x" * 90
        await waiting.wait()
        yield b"x"

    async with client(echo, max_body_bytes=100) as front:
        headers = {"content-type": "application/json"}
        calls = [asyncio.create_task(front.post(ROUTE, content=held_back(), headers=headers)) for _ in range(20)]
        await asyncio.sleep(0.2)
        full = [call.result().status_code for call in calls if call.done()]
        waiting.set()
        answers = [answer.status_code for answer in await asyncio.gather(*calls)]
        after = await front.post(ROUTE, content=b"x" * 100, headers=headers)

    assert full == [429] * 12
    assert sorted(answers) == [200] * 8 + [429] * 12
    assert after.status_code == 200


async def late(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers twice, as an application does that goes on after its time was up."""
    await JSONResponse({"error": "too late"}, 504)(scope, receive, send)
    await JSONResponse({"error": "never mind"}, 503)(scope, receive, send)


async def test_only_the_first_answer_counts() -> None:
    async with client(late) as front:
        answer = await front.post(ROUTE, json=1)

    assert answer.status_code == 504
    assert answer.json()["error"] == "too late"


async def test_a_runner_elsewhere_logs_under_the_same_id() -> None:
    seen: list[str | None] = []

    async def runner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(logs.request_id.get())
        await JSONResponse({})(scope, receive, send)

    async def front_door() -> httpx.Headers:
        headers = httpx.Headers()
        propagate.inject(headers)
        return headers

    token = logs.request_id.set("id-1")
    headers = await ask(front_door())
    logs.request_id.reset(token)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Inner(runner)), base_url="http://runner") as inner:
        await inner.post("/", headers=headers)
        await inner.post("/")

    assert seen == ["id-1", None]


async def test_a_runner_that_is_gone_is_a_503() -> None:
    async def gone() -> None:
        raise aiohttp.ClientConnectionError("no one there")

    with pytest.raises(ServiceUnavailable):
        await ask(gone())


async def test_each_request_is_logged_with_its_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", access_log.LOGGER)
    monkeypatch.setattr(access_log, "DELAY_S", 0.01)
    async with client(echo) as front:
        await front.post(ROUTE, json=1, headers={"x-request-id": "abc-1"})
        await front.get("/livez")
        await asyncio.sleep(0.1)

    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["logger"], line["path"], line["status"]) == ("bentoml.access", ROUTE, 200)
    assert line["request_id"] == "abc-1"


async def test_lines_of_the_access_log_are_written_before_the_worker_ends(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", access_log.LOGGER)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await echo(scope, receive, send)

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        pass

    front = Front(app, PATHS, Settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://front") as asking:
        await asking.post(ROUTE, json=1)
    assert capsys.readouterr().out == ""

    await front({"type": "lifespan"}, receive, send)

    assert ROUTE in capsys.readouterr().out
