"""What a request passes on its way to whoever answers it, one concern each."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette import routing
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call, Reply, Route
from marmita.settings import Settings
from marmita.telemetry import logs, metrics
from marmita.web import access_log
from marmita.web.access_log import AccessLog
from marmita.web.exchange import Exchange
from marmita.web.load import Load
from marmita.web.middleware import AccessLogging, Dispatch, Draining, ErrorReplies, LoadShedding, Next
from marmita.web.request_body import RequestBodies
from marmita.web.uploads import Uploads
from tests.web.fronts import ASK, INFER, JSON_TYPE, client, front, lane, receiver, scope, sender, to


async def sent_by(first: Next, path: str = ASK, **headers: str) -> list[Message]:
    """What is sent on one request that passes this."""
    sent: list[Message] = []
    given = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    body: Message = {"type": "http.request", "body": b"[1]"}
    await first(Exchange(scope(path, headers=given), receiver(body), sender(sent), lambda: False))
    return sent


def told(sent: list[Message]) -> tuple[int, Mapping[bytes, bytes], Any]:
    start, body = sent
    return start["status"], dict(start["headers"]), json.loads(body["body"])


async def answers(exchange: Exchange) -> None:
    await exchange.reply(Reply(200, b"{}"))


def rejected(status: int) -> float:
    metrics.write()
    return REGISTRY.get_sample_value("marmita_rejected_requests_total", {"status": str(status)}) or 0.0


# The access log.


async def test_each_request_is_logged_with_its_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", access_log.LOGGER)
    monkeypatch.setattr(access_log, "DELAY_S", 0.01)
    async with client() as asking:
        await asking.post(ASK, json=1, headers={"x-request-id": "abc-1"})
        await asking.post("/broken", json=1)
        await asking.get("/livez")
        await asking.post("/livez", json=1)
        await asyncio.sleep(0.1)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"marmita.web.access_log"' in line]
    assert [(line["path"], line["status"]) for line in lines] == [(ASK, 200), ("/broken", 500), ("/livez", 405)]
    assert lines[0]["request_id"] == "abc-1"
    assert (lines[0]["method"], lines[0]["client"]) == ("POST", "127.0.0.1")
    assert lines[0]["ms"] >= 0


async def test_a_request_that_was_not_answered_is_logged_as_a_fault(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", access_log.LOGGER)
    log = AccessLog()

    async def ends(_: Exchange) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await sent_by(AccessLogging(ends, log), "/livez")
    log.write()

    assert json.loads(capsys.readouterr().out)["status"] == 500


# Load.


async def test_while_a_worker_is_full_small_requests_are_rejected_at_once_and_counted() -> None:
    before, load = rejected(429), Load(1)
    shedding = LoadShedding(answers, load)

    with load:
        typed = told(await sent_by(shedding, content_length="3"))
        tensors = told(await sent_by(shedding, INFER, content_length="3"))
    after = told(await sent_by(shedding, content_length="3"))

    assert typed[0] == tensors[0] == 429
    assert typed[2]["code"] == "overloaded"
    assert set(tensors[2]) == {"error"}
    assert typed[1][b"retry-after"] == b"1"
    assert b"connection" not in typed[1]
    assert after[0] == 200
    assert rejected(429) == before + 2


@pytest.mark.parametrize("headers", [{}, {"content_length": "100000"}, {"content_length": "x"}])
async def test_a_body_that_may_be_large_is_read_before_it_is_rejected(headers: dict[str, str]) -> None:
    """Else its rest would be in the way of the connection's next request."""
    load = Load(1)
    with load:
        assert told(await sent_by(LoadShedding(answers, load), **headers))[0] == 200


async def test_reading_is_no_less_allowed_when_a_worker_is_full() -> None:
    load, sent = Load(1), list[Message]()
    with load:
        await LoadShedding(answers, load)(Exchange(scope("/livez", "GET"), receiver(), sender(sent), lambda: False))
    assert sent[0]["status"] == 200


@pytest.mark.parametrize("size", [10, 100_000])
async def test_no_more_requests_than_allowed_are_answered_at_a_time(size: int) -> None:
    going_on = asyncio.Event()

    async def slow(_: Call) -> Reply:
        await going_on.wait()
        return Reply(200, b"{}")

    async with to(front({ASK: Route("POST", slow)}, most=2)) as asking:
        calls = [asyncio.create_task(asking.post(ASK, content=b"x" * size, headers=JSON_TYPE)) for _ in range(5)]
        await asyncio.sleep(0.1)
        full = [call.result() for call in calls if call.done()]
        going_on.set()
        statuses = [answer.status_code for answer in await asyncio.gather(*calls)]
        after = await asking.post(ASK, content=b"x" * size, headers=JSON_TYPE)

    assert [answer.json()["code"] for answer in full] == ["overloaded"] * 3
    assert sorted(statuses) == [200, 200, 429, 429, 429]
    assert after.status_code == 200


# Errors.


@pytest.mark.parametrize(("path", "in_full"), [("/broken", True), ("/v2/broken", False)])
async def test_a_fault_is_a_500_without_its_reason(path: str, in_full: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with client() as asking:
        answer = await asking.post(path, json=1)

    assert answer.status_code == 500
    assert set(answer.json()) == ({"error", "code", "detail"} if in_full else {"error"})
    assert "secret" not in answer.text
    assert "the secret" in caplog.text


@pytest.mark.parametrize(
    ("code", "path", "headers"),
    [
        (ErrorCode.INVALID_REQUEST, ASK, {b"connection": b"close"}),
        (ErrorCode.BODY_TOO_LARGE, INFER, {b"connection": b"close"}),
        (ErrorCode.OVERLOADED, ASK, {b"retry-after": b"1"}),
        (ErrorCode.SHUTTING_DOWN, INFER, {b"retry-after": b"1", b"connection": b"close"}),
    ],
)
async def test_who_goes_no_further_than_the_front_is_told_why_and_counted(
    code: ErrorCode, path: str, headers: dict[bytes, bytes]
) -> None:
    """The rest of a body is not waited for, but it was read if the service is full."""
    before = rejected(code.status)

    async def rejects(_: Exchange) -> None:
        raise RequestError(code, "not so")

    found, given, content = told(await sent_by(ErrorReplies(rejects), path))

    assert found == code.status
    assert content == ({"error": "not so", "code": code, "detail": []} if path == ASK else {"error": "not so"})
    assert {name: given[name] for name in (b"retry-after", b"connection") if name in given} == headers
    assert rejected(code.status) == before + 1


async def test_a_fault_in_front_of_the_lane_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_: Exchange) -> None:
        raise RuntimeError("the secret")

    status, headers, content = told(await sent_by(ErrorReplies(fails)))

    assert (status, headers[b"connection"]) == (500, b"close")
    assert content["code"] == "internal"
    assert "secret" not in content["error"]
    assert "the secret" in caplog.text


async def test_a_fault_after_an_answer_began_sends_no_second_one() -> None:
    async def fails_late(exchange: Exchange) -> None:
        await answers(exchange)
        raise RuntimeError

    sent: list[Message] = []
    with pytest.raises(RuntimeError):
        await ErrorReplies(fails_late)(Exchange(scope(), receiver(), sender(sent), lambda: False))

    assert [message.get("status") for message in sent] == [200, None]


# Draining.


@pytest.mark.parametrize("path", ["/readyz", "/v2/health/ready"])
async def test_a_worker_that_drains_is_not_ready(path: str) -> None:
    is_draining = False
    draining = ErrorReplies(Draining(answers, lambda: is_draining))

    before = told(await sent_by(draining, path))[0]
    is_draining = True
    after, headers, content = told(await sent_by(draining, path))
    others = [told(await sent_by(draining, other))[0] for other in (ASK, INFER, "/livez")]

    assert (before, after, others) == (200, 503, [200, 200, 200])
    assert headers[b"retry-after"] == b"1"
    assert content.get("code") == (None if path.startswith("/v2") else "shutting_down")


# Dispatch.


@pytest.mark.parametrize("path", ["/nowhere", ASK + "%0a", ASK + "/", "//ask", "/livez%00", "/v2", "/v2/nowhere"])
async def test_what_is_not_here_is_not_let_through(path: str) -> None:
    async with client() as asking:
        answer = await asking.post(path, content=b"x" * 1000, headers={"content-type": "text/plain"})

    assert answer.status_code == 404
    assert answer.json().get("code") == (None if path.startswith("/v2") else "not_found")


async def test_a_handler_knows_the_id_of_the_request() -> None:
    async def tell(_: Call) -> Reply:
        return Reply(200, (logs.request_id.get() or "").encode())

    async with client({ASK: Route("POST", tell)}) as asking:
        answers = await asyncio.gather(
            *(asking.post(ASK, content=b"1", headers={"x-request-id": f"id-{n}"}) for n in range(20))
        )

    assert [answer.text for answer in answers] == [f"id-{n}" for n in range(20)]


async def test_bodies_are_released_and_load_is_over_whatever_becomes_of_the_request() -> None:
    load, bodies = Load(1), RequestBodies(Settings(max_body_bytes=3))
    dispatch = ErrorReplies(Dispatch(lane(), bodies, Uploads(Settings()), load, JSONResponse({}), ()))

    for _ in range(20):
        assert told(await sent_by(dispatch, "/broken"))[0] == 500
    assert told(await sent_by(dispatch))[0] == 200
    assert not load.is_full


async def in_its_own_words(scope: Scope, receive: Receive, send: Send) -> None:
    """Errors as BentoML and Starlette put them."""
    said = {
        "/array": JSONResponse([{"error": "not like this"}], 400),
        "/object": JSONResponse({"error": "too many"}, 429),
        "/text": PlainTextResponse("not here", 404),
        "/empty": PlainTextResponse("", 503),
        "/fine": PlainTextResponse("fine", 200, {"x-own": "kept"}),
    }
    await said[scope["path"]](scope, receive, send)


OWN_WORDS = ["/array", "/object", "/text", "/empty", "/fine"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/array", 400, "invalid_request"),
        ("/object", 429, "overloaded"),
        ("/text", 404, "not_found"),
        ("/empty", 503, "model_unavailable"),
    ],
)
async def test_errors_of_another_application_get_the_one_shape(path: str, status: int, code: str) -> None:
    async with client(app=in_its_own_words, paths=OWN_WORDS) as asking:
        answer = await asking.get(path)

    assert answer.status_code == status
    assert set(answer.json()) == {"error", "code", "detail"}
    assert answer.json()["code"] == code
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert ("retry-after" in answer.headers) is (status in (429, 503))


async def test_what_another_application_answers_is_passed_on_with_the_request_s_id() -> None:
    async with client(app=in_its_own_words, paths=OWN_WORDS) as asking:
        answer = await asking.get("/fine", headers={"x-request-id": "abc-1"})

    assert (answer.text, answer.headers["x-own"], answer.headers["x-request-id"]) == ("fine", "kept", "abc-1")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was sent, as a route that a service declares by BentoML's own means."""
    message = await receive()
    await PlainTextResponse(message["body"])(scope, receive, send)


async def test_a_body_is_passed_on_to_another_application_within_the_bounds() -> None:
    async with client(app=echo, paths=["/own"], max_body_bytes=100) as asking:
        answer = await asking.post("/own", content=b"x" * 100, headers={"content-type": "text/plain"})
        large = await asking.post("/own", content=b"x" * 101, headers={"content-type": "text/plain"})

    assert (answer.status_code, answer.text) == (200, "x" * 100)
    assert large.status_code == 413


async def test_another_application_says_which_verbs_it_has() -> None:
    app = Starlette(routes=[routing.Route("/own", lambda _: PlainTextResponse("fine"))])

    async with client(app=app, paths=["/own"]) as asking:
        posted = await asking.post("/own", json=1)

    assert (posted.status_code, posted.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in posted.headers["allow"]


async def late(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers twice, as an application does that goes on after its time was up."""
    await JSONResponse({"error": "too late"}, 504)(scope, receive, send)
    await JSONResponse({"error": "never mind"}, 503)(scope, receive, send)


async def test_only_the_first_answer_counts() -> None:
    async with client(app=late, paths=["/late"]) as asking:
        answer = await asking.get("/late")

    assert answer.status_code == 504
    assert answer.json()["code"] == "deadline_exceeded"


async def test_what_is_counted_is_written_before_metrics_are_shown() -> None:
    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        shown = REGISTRY.get_sample_value("marmita_rejected_requests_total", {"status": "499"})
        await JSONResponse(shown)(scope, receive, send)

    async with client(app=show, paths=["/metrics"]) as asking:
        metrics.rejected(499)
        answer = await asking.get("/metrics")

    assert answer.json() >= 1
