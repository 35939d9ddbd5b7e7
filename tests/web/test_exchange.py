"""One request, and the one way to answer it."""

import re

import pytest
from starlette.types import Message

from marmita.contract.replies import Reply
from marmita.web.exchange import REQUEST_ID, Exchange
from tests.web.fronts import ASK, client, receiver, scope, sender


@pytest.mark.parametrize("path", [ASK, "/nowhere", "/broken", "/v2/models/trees/infer"])
async def test_a_request_gets_an_id_and_keeps_its_own(path: str) -> None:
    async with client() as front:
        new, kept = await front.post(path, json=1), await front.post(path, json=1, headers={"x-request-id": "abc-1"})

    assert re.fullmatch("[0-9a-f]{32}", new.headers["x-request-id"])
    assert kept.headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("id", ["", "a b", "x" * 129, 'quote"', "ä", "a\n"])
def test_an_id_that_could_do_harm_is_replaced(id: str) -> None:
    exchange = Exchange(scope(headers=((REQUEST_ID, id.encode()),)), receiver(), sender([]), lambda: False)

    assert re.fullmatch("[0-9a-f]{32}", exchange.id)


@pytest.mark.parametrize(("is_draining", "ends"), [(False, False), (True, False), (False, True)])
async def test_a_reply_says_its_size_its_id_and_whether_the_connection_ends(is_draining: bool, ends: bool) -> None:
    sent: list[Message] = []
    exchange = Exchange(scope(headers=((REQUEST_ID, b"abc-1"),)), receiver(), sender(sent), lambda: is_draining)
    exchange.ends_connection = ends

    assert exchange.status == 0
    await exchange.reply(Reply(418, b"[1, 2]", headers=((b"allow", b"GET"),)))

    assert exchange.status == 418
    (start, body) = sent
    assert body == {"type": "http.response.body", "body": b"[1, 2]"}
    assert (start["type"], start["status"]) == ("http.response.start", 418)
    assert dict(start["headers"]) == {
        b"content-type": b"application/json",
        b"content-length": b"6",
        b"x-request-id": b"abc-1",
        b"allow": b"GET",
    } | ({b"connection": b"close"} if is_draining or ends else {})
