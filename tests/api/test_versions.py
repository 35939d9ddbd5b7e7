"""The versions of a model in the store: listed, promoted and rolled back over HTTP."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from marmita.api import versions
from marmita.api.auth import ApiKeys
from marmita.api.operations import Api
from marmita.contract.replies import Reply
from marmita.records.database.database import Database
from marmita.records.operations import decisions
from marmita.records.operations.reasons import ReasonCode
from marmita.registry.champions import champion_version
from marmita.registry.tables import TableStore
from tests.packed_tables import NUMBERS, pack_table
from tests.web.fronts import call, lane

KEY = "a key of sixteen characters"

Ask = Callable[..., Coroutine[Any, Any, Reply]]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'records.db'}")


@pytest.fixture
def ask(empty_store: Path, database: Database) -> Ask:
    """Sends a request to one of the routes of a service without models with code."""
    routes = lane({}, timeout_s=30)
    for operation in versions.operations(Api({}, {}, TableStore([]), lambda: database, ApiKeys([KEY]))):
        routes.add(operation.routes(), operation.templates())

    async def ask(path: str, body: Any = None, *, key: str = KEY) -> Reply:
        found = routes.find(path)
        assert found
        method = "GET" if body is None else "POST"
        return await routes.answer(found, call(json.dumps(body).encode(), method, authorization=f"Bearer {key}"))

    return ask


def code(reply: Reply) -> str:
    found: str = json.loads(reply.body)["code"]
    return found


async def test_versions_are_listed_newest_first(ask: Ask) -> None:
    first, second = pack_table("price", NUMBERS), pack_table("price", NUMBERS, promote=False)
    listed = json.loads((await ask("/models/price/versions")).body)["versions"]
    assert [(one["tag"], one["champion"]) for one in listed] == [(second.tag, False), (first.tag, True)]


async def test_a_version_is_promoted_and_rolled_back(ask: Ask) -> None:
    first, second = pack_table("price", NUMBERS), pack_table("price", NUMBERS, promote=False)
    reply = await ask("/models/price/promote", {"version": second.version})
    assert json.loads(reply.body) == {"tag": second.tag}
    assert champion_version("price") == second.version
    reply = await ask("/models/price/rollback", {})
    assert json.loads(reply.body) == {"tag": first.tag}
    assert champion_version("price") == first.version


async def test_a_version_that_did_not_pass_its_gate_needs_force_and_is_recorded(ask: Ask, database: Database) -> None:
    pack_table("price", NUMBERS)
    rejected = pack_table("price", NUMBERS, promote=False, passes=False)
    reply = await ask("/models/price/promote", {"version": rejected.version})
    assert (reply.status, code(reply)) == (409, "conflict")
    assert champion_version("price") != rejected.version
    assert (await ask("/models/price/promote", {"version": rejected.version, "force": True})).status == 200
    assert champion_version("price") == rejected.version
    (decision,) = decisions.latest(database)
    assert [reason.code for reason in decisions.reasons_of(decision)] == [ReasonCode.FORCED]


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        ("/models/nothing/versions", None, 404, "model_not_found"),
        ("/models/nothing/promote", {"version": "v1"}, 404, "model_not_found"),
        ("/models/nothing/rollback", {}, 404, "model_not_found"),
        ("/models/price/promote", {"version": "v1"}, 404, "model_not_found"),
        ("/models/price/promote", {"version": "../price"}, 400, "invalid_request"),
        ("/models/price/promote", {}, 400, "invalid_request"),
        ("/models/price/rollback", {}, 404, "model_not_found"),
        ("/models/price/rollback", {"to": "v1"}, 400, "invalid_request"),
    ],
)
async def test_what_is_not_in_the_store_is_an_error(ask: Ask, path: str, body: Any, status: int, expected: str) -> None:
    pack_table("price", NUMBERS)
    reply = await ask(path, body)
    assert (reply.status, code(reply)) == (status, expected)


async def test_a_version_that_can_not_be_served_is_not_promoted(ask: Ask) -> None:
    pack_table("price", NUMBERS)
    broken = pack_table("price", NUMBERS, promote=False)
    (broken.path / "compiled.onnx").write_bytes(b"damaged")
    reply = await ask("/models/price/promote", {"version": broken.version})
    assert (reply.status, code(reply)) == (409, "conflict")
    assert champion_version("price") != broken.version


@pytest.mark.parametrize("path", ["/models/price/promote", "/models/price/rollback"])
async def test_changes_need_a_key(ask: Ask, path: str) -> None:
    packed = pack_table("price", NUMBERS)
    reply = await ask(path, {"version": packed.version}, key="another")
    assert (reply.status, code(reply)) == (401, "unauthorized")
