"""A measurement that nobody waits for any more goes on: there are few of them, and who asks the same shares one."""

import asyncio
import gc
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock
from types import SimpleNamespace
from typing import Any

import pytest

from marmita.api import quality
from marmita.api.auth import ApiKeys
from marmita.api.operations import Api
from marmita.api.quality import MAX_PENDING, MAX_RUNNING
from marmita.contract.replies import Reply
from marmita.records.database.database import Database
from marmita.registry.tables import TableStore
from marmita.runtime.slot import ServedVersion
from tests.records.grades import GRADES, REFERENCE
from tests.web.fronts import call, lane

DEADLINE_S = 0.2

Ask = Callable[..., Coroutine[Any, Any, Reply]]


class SlowSlot:
    """A model that is measured, in a real database, when the test says so."""

    def __init__(self) -> None:
        self.go, self.lock = Event(), Lock()
        self.begun = self.at_work = self.most_at_work = 0
        card = SimpleNamespace(held_out={"mae": 1.0})
        self.packed: Any = SimpleNamespace(tag="grades:v1", version="v1", card=card, reference=REFERENCE)

    def measure(self, database: Database, window: timedelta) -> Any:
        with self.lock:
            self.begun += 1
            self.at_work += 1
            self.most_at_work = max(self.at_work, self.most_at_work)
        try:
            assert self.go.wait(30)
            return ServedVersion(self.packed, GRADES).measure(database, window)
        finally:
            with self.lock:
                self.at_work -= 1


@pytest.fixture
def slot() -> SlowSlot:
    return SlowSlot()


@pytest.fixture
def ask(slot: SlowSlot, tmp_path: Path) -> Iterator[Ask]:
    """Asks for a window, within a deadline."""
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    api = Api({"a": lambda: slot}, {}, TableStore([]), lambda: database, ApiKeys([]))  # type: ignore[dict-item, return-value]
    (operation,) = quality.operations(api)
    routes = operation.routes()
    hurried, patient = lane(routes, timeout_s=DEADLINE_S), lane(routes, timeout_s=30)

    async def ask(window: str, *, waits: bool = False) -> Reply:
        lane = patient if waits else hurried
        found, asked = lane.find("/quality/a"), call(method="GET")
        assert found
        asked.scope["query_string"] = f"window={window}".encode()
        return await lane.answer(found, asked)

    yield ask
    slot.go.set()
    database.close()


async def test_who_asks_the_same_shares_one_measurement(slot: SlowSlot, ask: Ask) -> None:
    asking = [asyncio.create_task(ask("1d", waits=True)) for _ in range(20)]
    await until(lambda: slot.begun == 1)
    asking.append(asyncio.create_task(ask("24h", waits=True)))
    await asyncio.sleep(0.05)
    slot.go.set()
    replies = await asyncio.gather(*asking)

    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert json.loads(replies[0].body)["window_s"] == 86_400
    assert slot.begun == 1
    assert (await ask("1d")).body == replies[0].body  # they are still fresh
    assert slot.begun == 1


async def test_measurements_whose_deadline_has_passed_do_not_pile_up(slot: SlowSlot, ask: Ask) -> None:
    replies = await asyncio.gather(*(ask(f"{number}h") for number in range(1, MAX_PENDING + 1)))
    assert {reply.status for reply in replies} == {504}
    again = await asyncio.gather(*(ask(f"{number}h") for number in range(1, MAX_PENDING + 1)))
    assert {reply.status for reply in again} == {504}
    assert slot.begun == slot.most_at_work == MAX_RUNNING

    begun = time.monotonic()
    rejected = await ask("100d", waits=True)
    assert time.monotonic() - begun < 5
    assert rejected.status == 503
    assert json.loads(rejected.body)["code"] == "model_overloaded"
    assert (b"retry-after", b"1") in rejected.headers

    slot.go.set()
    replies = await asyncio.gather(*(ask(f"{number}h", waits=True) for number in range(1, MAX_PENDING + 1)))
    assert {reply.status for reply in replies} == {200}
    assert (slot.begun, slot.most_at_work) == (MAX_PENDING, MAX_RUNNING)
    assert (await ask("100d", waits=True)).status == 200


async def test_a_measurement_that_fails_is_told_to_all_who_wait_and_is_tried_again(
    slot: SlowSlot, ask: Ask, tmp_path: Path
) -> None:
    """The database is gone, and comes back."""
    (tmp_path / "records.db").mkdir()
    slot.go.set()
    replies = await asyncio.gather(*(ask("1d", waits=True) for _ in range(3)))
    assert [reply.status for reply in replies] == [503] * 3
    assert slot.begun == 1

    (tmp_path / "records.db").rmdir()
    assert (await ask("1d", waits=True)).status == 200


async def test_a_measurement_that_fails_when_nobody_waits_is_no_one_s_fault(
    slot: SlowSlot, ask: Ask, tmp_path: Path
) -> None:
    """Asyncio calls this for what was never taken note of."""
    (tmp_path / "records.db").mkdir()
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    assert (await ask("1d")).status == 504

    slot.go.set()
    await until(lambda: slot.at_work == 0)
    await asyncio.sleep(0.05)
    gc.collect()
    assert complaints == []


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(4000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError
