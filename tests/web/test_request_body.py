"""Bodies are read whole, within bounds of size, time and memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from starlette.types import Message

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import JSON_ONLY, JSON_OR_BYTES
from marmita.settings import Settings
from marmita.web.request_body import RequestBodies
from tests.messages import mentions
from tests.web.fronts import ASK, INFER, JSON_TYPE, client, receiver

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def chunks(count: int, chunk: bytes = b"x") -> AsyncIterator[bytes]:
    for _ in range(count):
        yield chunk


@pytest.mark.parametrize("path", [ASK, INFER])
async def test_a_body_is_handed_on_whole(path: str) -> None:
    async with client() as front:
        answer = await front.post(path, content=chunks(100, b"x" * 10), headers=JSON_TYPE)

    assert answer.content == b"x" * 1000


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_rejected(declared: bool) -> None:
    async with client(max_body_bytes=100) as front:
        answer = await front.post(ASK, content=b"x" * 300 if declared else chunks(300), headers=JSON_TYPE)
        tensors = await front.post(INFER, content=b"x" * 300 if declared else chunks(300))
        fits = await front.post(ASK, content=b"x" * 100, headers=JSON_TYPE)

    assert answer.status_code == tensors.status_code == 413
    assert (answer.json()["code"], answer.json()["detail"]) == ("body_too_large", [])
    assert mentions(answer.json()["error"], 100)
    assert tensors.json() == {"error": answer.json()["error"]}
    assert answer.headers["connection"] == "close"
    assert fits.status_code == 200


async def test_a_body_that_is_far_too_large_is_not_read_to_its_end() -> None:
    read = 0

    async def endless() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 50, "more_body": True}

    with pytest.raises(RequestError) as rejected:
        await RequestBodies(Settings(max_body_bytes=100)).read({}, endless, JSON_ONLY)

    assert rejected.value.code is ErrorCode.BODY_TOO_LARGE
    assert read < 20


async def test_a_client_that_waits_to_be_asked_for_a_body_that_is_too_large_is_told_at_once() -> None:
    headers = {b"content-length": b"101", b"expect": b"100-Continue"}

    with pytest.raises(RequestError) as rejected:  # nothing is received
        await RequestBodies(Settings(max_body_bytes=100)).read(headers, receiver(), JSON_ONLY)

    assert rejected.value.code is ErrorCode.BODY_TOO_LARGE


async def test_a_body_that_does_not_end_is_not_waited_for() -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(30)

    async with client(body_timeout=timedelta(seconds=0.1)) as front:
        answer = await front.post(ASK, content=half(), headers=JSON_TYPE)

    assert answer.status_code == 408
    assert answer.json()["code"] == "body_timeout"
    assert answer.headers["connection"] == "close"


async def test_a_body_that_comes_in_drips_is_not_waited_for_either() -> None:
    async def drips() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async with client(body_timeout=timedelta(seconds=0.2)) as front:
        answer = await front.post(ASK, content=drips(), headers=JSON_TYPE)

    assert answer.status_code == 408


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", None])
async def test_json_is_taken_also_if_it_is_not_said_what_it_is(media_type: str | None) -> None:
    async with client() as front:
        answer = await front.post(ASK, content=b"[1]", headers={"content-type": media_type} if media_type else {})

    assert answer.content == b"[1]"


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/vnd.bentoml+pickle", "x" * 10_000, "ä"])
async def test_another_media_type_is_a_415_that_names_both(media_type: str) -> None:
    async with client() as front:
        answer = await front.post(ASK, content=b"[1]", headers={b"content-type": media_type.encode("utf-8")})

    assert answer.status_code == 415
    assert answer.json()["code"] == "unsupported_media_type"
    assert mentions(answer.json()["error"], "application/json", media_type.encode().decode("latin-1").strip()[:100])
    assert len(answer.json()["error"]) < 200


async def test_bytes_are_taken_where_there_are_tensors_only() -> None:
    bytes_type = {"content-type": "application/octet-stream"}
    async with client() as front:
        tensors, typed = [await front.post(path, content=b"1", headers=bytes_type) for path in (INFER, ASK)]
        form = await front.post(INFER, content=b"1", headers=FORM)

    assert (tensors.status_code, typed.status_code, form.status_code) == (200, 415, 415)
    assert list(form.json()) == ["error"]
    assert mentions(form.json()["error"], "application/json", "application/octet-stream", FORM["content-type"])


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br", 415), ("identity", 200)])
async def test_a_compressed_body_is_rejected(encoding: str, status: int) -> None:
    async with client() as front:
        answer = await front.post(ASK, content=b"[1]", headers=JSON_TYPE | {"content-encoding": encoding})

    assert answer.status_code == status


async def test_who_leaves_before_the_body_is_complete_leaves_nothing_behind() -> None:
    bodies = RequestBodies(Settings(max_body_bytes=100))
    for _ in range(20):  # more than all together may hold
        half: Message = {"type": "http.request", "body": b"x" * 90, "more_body": True}
        with pytest.raises(RequestError) as left:
            await bodies.read({}, receiver(half, {"type": "http.disconnect"}), JSON_OR_BYTES)
        assert left.value.code is ErrorCode.INVALID_REQUEST


async def test_a_body_counts_until_it_is_released() -> None:
    bodies = RequestBodies(Settings(max_body_bytes=100))

    async def read() -> bytes:
        return await bodies.read({}, receiver({"type": "http.request", "body": b"x" * 100}), JSON_ONLY)

    held = [await read() for _ in range(8)]
    with pytest.raises(RequestError) as full:
        await read()
    bodies.release(len(held[0]))
    again = await read()

    assert full.value.code is ErrorCode.OVERLOADED
    assert again == b"x" * 100


async def test_all_bodies_together_are_bounded() -> None:
    """Many callers that each hold back the last byte."""
    waiting = asyncio.Event()

    async def held_back() -> AsyncIterator[bytes]:
        yield b"x" * 90
        await waiting.wait()
        yield b"x"

    async with client(max_body_bytes=100) as front:
        calls = [asyncio.create_task(front.post(ASK, content=held_back(), headers=JSON_TYPE)) for _ in range(20)]
        await asyncio.sleep(0.2)
        full = [call.result() for call in calls if call.done()]
        waiting.set()
        answers = [answer.status_code for answer in await asyncio.gather(*calls)]
        after = await front.post(ASK, content=b"x" * 100, headers=JSON_TYPE)

    assert [answer.status_code for answer in full] == [429] * 12
    assert all(answer.headers["retry-after"] == "1" for answer in full)
    assert sorted(answers) == [200] * 8 + [429] * 12
    assert after.status_code == 200
