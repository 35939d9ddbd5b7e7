"""Models in other processes are asked as those in this one are. Here, the other process is a server in this one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import BYTES, JSON_OR_BYTES, Call, Reply, Route, json_reply
from marmita.oip.routes import JSON_SIZE
from marmita.settings import Settings
from marmita.telemetry import logs
from marmita.telemetry.spans import NoSpans
from marmita.web import topology
from marmita.web.front import RunnerFront
from marmita.web.relay import Relay
from marmita.web.topology import Model, RemoteModel
from tests.web.fronts import ASK, INFER, call, front, lane, to
from tests.web.servers import serving

METADATA, READY = "/v2/models/trees", "/v2/models/trees/ready"


async def tell(asked: Call) -> Reply:
    """Answer with what the runner was told."""
    size = asked.headers.get(JSON_SIZE)
    told = {
        "id": logs.request_id.get(),
        "type": asked.headers[b"content-type"].decode(),
        "size": size and size.decode(),
        "body": asked.body.decode(),
        "headers": sorted(name.decode() for name in asked.headers),
    }
    return json_reply(told)


async def in_bytes(_: Call) -> Reply:
    return Reply(200, b"{}12345", BYTES, ((JSON_SIZE, b"2"), (b"x-own", b"stays")))


async def about(_: Call) -> Reply:
    return json_reply({"name": "trees"})


async def overloaded(_: Call) -> Reply:
    raise RequestError(ErrorCode.MODEL_OVERLOADED, "the model is overloaded: try again later")


async def wait(_: Call) -> Reply:
    await asyncio.sleep(30)
    raise AssertionError


ROUTES = {
    ASK: Route("POST", tell),
    INFER: Route("POST", tell, JSON_OR_BYTES),
    METADATA: Route("GET", about),
    READY: Route("GET", about),
    "/bytes": Route("POST", in_bytes),
    "/overloaded": Route("POST", overloaded),
    "/wait": Route("POST", wait),
}


@asynccontextmanager
async def runner(path: str, routes: dict[str, Route] = ROUTES) -> AsyncIterator[RemoteModel]:
    """A model behind the front of a runner's process."""
    app = RunnerFront(Starlette(), (), Settings(max_body_bytes=10_000), lane(routes))
    async with serving(app, path), asyncio.timeout(20):
        yield RemoteModel("trees", Relay(path=path), NoSpans())


@asynccontextmanager
async def fronted(model: Model) -> AsyncIterator[httpx.AsyncClient]:
    """The front, with all of the model's routes."""
    routes = {}
    for path, route in ROUTES.items():

        async def ask(one: Call, path: str = path) -> Reply:
            return await model.ask(path, one)

        routes[path] = route._replace(handle=ask)
    async with to(front(routes)) as client:
        yield client


async def test_a_runner_is_told_what_it_needs_and_no_more(path: str) -> None:
    async with runner(path) as model, fronted(model) as client:
        headers = {"x-request-id": "id-1", "authorization": "Bearer secret", "cookie": "a=b"}
        typed = (await client.post(ASK, content=b"[1]", headers=headers)).json()
        sized = {"Inference-Header-Content-Length": "2", "content-type": "application/octet-stream"}
        tensors = (await client.post(INFER, content=b"{}345", headers=headers | sized)).json()

    assert (typed["id"], typed["type"], typed["size"], typed["body"]) == ("id-1", "application/json", None, "[1]")
    assert typed["headers"] == ["content-length", "content-type", "host", "x-request-id"]
    assert (tensors["id"], tensors["type"], tensors["size"]) == ("id-1", "application/octet-stream", "2")
    assert tensors["body"] == "{}345"


async def test_a_runner_that_nobody_told_an_id_makes_one_of_its_own(path: str) -> None:
    async with runner(path):
        answer = await Relay(path=path).ask("POST", ASK, [(b"content-type", b"application/json")], b"[1]")

    assert logs.request_id.get() is None
    assert dict(answer.headers)[b"x-request-id"].decode() in answer.body.decode()


async def test_an_answer_comes_back_with_the_headers_of_the_protocol(path: str) -> None:
    async with runner(path) as model, fronted(model) as client:
        answer = await client.post("/bytes", content=b"1", headers={"x-request-id": "id-1"})

    assert answer.content == b"{}12345"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["inference-header-content-length"] == "2"
    assert answer.headers["x-request-id"] == "id-1"
    assert "x-own" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_question_about_the_head_alone_is_answered_as_well(path: str, method: str) -> None:
    async with runner(path) as model, fronted(model) as client:
        answers = [await client.request(method, METADATA) for _ in range(2)]
        after = await client.post(ASK, content=b"[1]")

    assert [answer.status_code for answer in [*answers, after]] == [200, 200, 200]
    assert answers[0].headers["content-length"] == "16"


@pytest.mark.parametrize(
    ("path_asked", "body", "status", "code"),
    [
        ("/overloaded", b"1", 503, "model_overloaded"),
        (ASK, b"x" * 20_000, 413, "body_too_large"),
        ("/nowhere", b"1", 404, "not_found"),
        (METADATA, b"1", 405, None),
    ],
)
async def test_an_error_of_the_runner_is_the_front_s(
    path: str, path_asked: str, body: bytes, status: int, code: str | None
) -> None:
    async with runner(path) as model:
        reply = await model.ask(path_asked, call(body))
        after = await model.ask(ASK, call(b"[1]"))

    assert reply.status == status
    assert json.loads(reply.body).get("code") == code
    assert dict(reply.headers) == ({b"retry-after": b"1"} if status == 503 else {})
    assert after.status == 200


@pytest.mark.parametrize("where", ["a socket", "a port"])
async def test_a_runner_that_is_not_there_is_a_503(path: str, where: str) -> None:
    relay = Relay(path=path) if where == "a socket" else Relay(host="127.0.0.1", port=1)
    async with fronted(model := RemoteModel("trees", relay, NoSpans())) as client:
        typed, tensors = await client.post(ASK, content=b"1"), await client.post(INFER, content=b"1")

        assert not await model.is_ready()
    assert typed.status_code == tensors.status_code == 503
    assert typed.json()["code"] == "model_unavailable"
    assert tensors.json() == {"error": typed.json()["error"]}
    assert typed.headers["retry-after"] == "1"


async def test_a_runner_that_is_back_is_asked_again(path: str) -> None:
    async with runner(path) as model:
        assert await model.is_ready()
    assert not await model.is_ready()
    async with runner(path):
        assert await model.is_ready()


@pytest.mark.parametrize("handler", [overloaded, wait])
async def test_a_runner_that_is_not_ready_or_does_not_say_so_in_time_is_not(
    path: str, handler: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "PATIENCE_S", 0.2)
    start = time.monotonic()
    async with runner(path, {READY: Route("GET", handler)}) as model:  # type: ignore[arg-type]
        assert not await model.is_ready()
        assert time.monotonic() - start < 2


async def test_a_deadline_ends_the_wait_for_a_runner_and_mixes_up_no_answers(path: str) -> None:
    async with runner(path) as model:

        async def ask(one: Call) -> Reply:
            return await model.ask("/wait" if one.body == b"wait" else ASK, one)

        found = lane({ASK: Route("POST", ask)}, timeout_s=0.2)
        at = found.find(ASK)
        assert at is not None
        bodies = [b"wait" if number % 4 == 0 else b"%d" % number for number in range(40)]
        replies = await asyncio.gather(*(found.answer(at, call(body)) for body in bodies))
        again = await asyncio.gather(*(found.answer(at, call(b"[%d]" % number)) for number in range(40)))

    for body, reply in zip(bodies, replies, strict=True):
        assert reply.status == (504 if body == b"wait" else 200)
        assert body == b"wait" or b'"body":"%s"' % body in reply.body
    assert all(b'"body":"[%d]"' % number in reply.body for number, reply in enumerate(again))
