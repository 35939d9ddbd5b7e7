"""Uploads are passed on in blocks, within limits of size, time and number, and keep nothing else waiting."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.types import Message

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import FORM, Call, Form, FormFile, Reply, Route
from marmita.settings import Settings
from marmita.web.uploads import MAX_IN_PROGRESS, Uploads
from tests.web.fronts import ASK, ROUTES, call, client, front, receiver, to

UPLOAD = "/upload"
FORM_TYPE = {"content-type": "multipart/form-data; boundary=x"}


class Received:
    """A receiver of uploads that counts what it gets."""

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self.closed = 0
        self.fails: RequestError | None = None

    def write(self, block: bytes) -> None:
        self.blocks.append(len(block))

    def close(self) -> None:
        self.closed += 1

    async def receive(self, _: Call, blocks: AsyncIterator[bytes]) -> Form:
        if self.fails:
            raise self.fails
        async for block in blocks:
            self.write(block)
        return Form({}, {"file": FormFile("a.csv", "text/csv", self)})

    async def answer(self, one: Call) -> Reply:
        assert one.form is not None
        assert one.form.files["file"].sink is self
        return Reply(200, b"%d" % sum(self.blocks))

    @property
    def route(self) -> Route:
        return Route("POST", self.answer, (FORM,), self.receive)


@pytest.fixture
def received() -> Received:
    return Received()


def routes(received: Received) -> dict[str, Route]:
    return {**ROUTES, UPLOAD: received.route}


async def chunks(count: int, size: int = 1000) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


async def post(asking: httpx.AsyncClient, content: Any, **headers: str) -> httpx.Response:
    return await asking.post(UPLOAD, content=content, headers=FORM_TYPE | headers)


async def test_it_comes_in_blocks_and_may_be_larger_than_other_bodies(received: Received) -> None:
    async with client(routes(received), max_body_bytes=100) as asking:
        answer = await post(asking, chunks(1000))

    assert answer.text == "1000000"
    assert [size >= 256 * 1024 for size in received.blocks] == [True, True, True, False]
    assert received.closed == 1


@pytest.mark.parametrize("declared", [True, False])
async def test_one_that_is_too_large_is_rejected(received: Received, declared: bool) -> None:
    async with client(routes(received), upload_max_bytes=5000) as asking:
        answer = await post(asking, b"x" * 6000 if declared else chunks(6))
        fits = await post(asking, chunks(5))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert fits.text == "5000"


async def test_who_waits_to_be_asked_for_one_that_is_too_large_is_told_at_once(received: Received) -> None:
    asked = call(content_type="multipart/form-data", content_length="5001", expect="100-continue")

    with pytest.raises(RequestError) as rejected:  # nothing is received
        await Uploads(Settings(upload_max_bytes=5000)).read(received.route, asked, receiver())

    assert rejected.value.code is ErrorCode.BODY_TOO_LARGE


async def test_who_waits_to_be_asked_for_one_that_is_rejected_is_not_asked(received: Received) -> None:
    received.fails = RequestError(ErrorCode.UNAUTHORIZED, "no key")
    asked = call(content_type="multipart/form-data", content_length="5000", expect="100-continue")

    with pytest.raises(RequestError) as rejected:  # nothing is received
        await Uploads(Settings()).read(received.route, asked, receiver())

    assert rejected.value.code is ErrorCode.UNAUTHORIZED


async def test_one_that_is_rejected_is_read_so_that_its_sender_sees_the_answer(received: Received) -> None:
    received.fails = RequestError(ErrorCode.UNAUTHORIZED, "no key")
    read = 0

    async def counted(count: int) -> AsyncIterator[bytes]:
        nonlocal read
        async for chunk in chunks(count, 100_000):
            read += 1
            yield chunk

    async with client(routes(received), upload_max_bytes=1_000_000) as asking:
        answer = await post(asking, counted(10))
        assert (answer.status_code, read) == (401, 10)


async def test_one_that_is_far_too_large_is_not_read_to_its_end(received: Received) -> None:
    read = 0

    async def endless() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 300_000, "more_body": True}

    asked = call(content_type="multipart/form-data")
    with pytest.raises(RequestError) as rejected:
        await Uploads(Settings(upload_max_bytes=1_000_000)).read(received.route, asked, endless)

    assert rejected.value.code is ErrorCode.BODY_TOO_LARGE
    assert read < 10


@pytest.mark.parametrize("pause_s", [30, 0.01])
async def test_one_that_does_not_come_or_comes_in_drips_is_not_waited_for(received: Received, pause_s: float) -> None:
    async def drips() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(pause_s)

    async with client(routes(received), body_timeout=timedelta(seconds=0.2)) as asking:
        answer = await post(asking, drips())

    assert (answer.status_code, answer.json()["code"]) == (408, "body_timeout")


async def test_one_may_take_longer_than_other_bodies(received: Received) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 300_000
            await asyncio.sleep(0.1)

    async with client(routes(received), body_timeout=timedelta(seconds=0.3)) as asking:
        answer = await post(asking, slow())

    assert answer.text == "1500000"


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/csv"}, {"content-type": "application/json"}, {"content-encoding": "gzip"}]
)
async def test_another_media_type_is_rejected(received: Received, headers: dict[str, str]) -> None:
    async with client(routes(received)) as asking:
        answer = await post(asking, b"x", **headers)

    assert answer.status_code == 415
    assert received.blocks == []


async def test_who_leaves_before_it_is_complete_is_no_fault_of_the_service(received: Received) -> None:
    half: Message = {"type": "http.request", "body": b"x", "more_body": True}
    asked = call(content_type="multipart/form-data")
    uploads = Uploads(Settings())

    for _ in range(2 * MAX_IN_PROGRESS):  # each makes room for the next one
        with pytest.raises(RequestError) as left:
            await uploads.read(received.route, asked, receiver(half, {"type": "http.disconnect"}))
        assert left.value.code is ErrorCode.INVALID_REQUEST


async def test_slow_ones_are_bounded_and_keep_nothing_else_waiting(received: Received) -> None:
    go_on = asyncio.Event()

    async def held_back() -> AsyncIterator[bytes]:
        yield b"x"
        await go_on.wait()

    asking = to(front(routes(received), most=1))
    uploads = [asyncio.create_task(post(asking, held_back())) for _ in range(MAX_IN_PROGRESS)]
    await asyncio.sleep(0.1)
    one_more = await post(asking, b"x")
    other = await asking.post(ASK, json={})
    go_on.set()
    answers = await asyncio.gather(*uploads)
    await asking.aclose()

    assert (one_more.status_code, one_more.json()["code"]) == (429, "overloaded")
    assert other.status_code == 200
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert 200 in [answer.status_code for answer in answers]
    assert received.closed == MAX_IN_PROGRESS


async def test_one_does_not_keep_a_draining_worker_alive(received: Received) -> None:
    async def drips() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x" * 300_000, "more_body": True}

    uploads = Uploads(Settings(body_timeout=timedelta(seconds=0.2)), lambda: True)
    with pytest.raises(RequestError) as rejected:
        await uploads.read(received.route, call(content_type="multipart/form-data"), drips)

    assert rejected.value.code is ErrorCode.SHUTTING_DOWN
    assert len(received.blocks) > 1
