"""Callers share batches, get their own answers, and don't pay for each other's mistakes."""

import asyncio
import time
from collections.abc import Callable
from threading import Thread, current_thread

import numpy as np
import pytest
from pydantic import ValidationError

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.rows import Floats
from marmita.registry.onnx_model import OnnxModel
from marmita.runtime.batching import INLINE_ROWS, INLINE_S, Batcher, Batching, RunTimes
from marmita.telemetry import logs


class Doubler:
    """A model that doubles its rows, slowly enough for callers to meet, and fails on a negative one."""

    def __init__(self) -> None:
        self.ran: list[int] = []

    def __call__(self, rows: Floats) -> Floats:
        if (rows < 0).any():
            raise ValueError("negative")
        return rows * 2

    def note(self, rows: int, seconds: float) -> None:
        assert seconds >= 0
        self.ran.append(rows)


def rows(count: int, value: float) -> Floats:
    return np.full((count, 3), value, dtype=np.float32)


def batcher(model: Doubler, **batching: int | bool) -> Batcher:
    return Batcher(model, Batching.model_validate(batching), model.note)


async def test_callers_share_batches_and_get_their_own_answers() -> None:
    model = Doubler()
    run = batcher(model)

    answers = await asyncio.gather(*(run(rows(1 + caller % 3, caller)) for caller in range(60)))

    for caller, answer in enumerate(answers):
        assert (answer == rows(1 + caller % 3, 2 * caller)).all()
    assert sum(model.ran) == sum(1 + caller % 3 for caller in range(60))
    assert len(model.ran) == 1


async def test_no_batch_is_larger_than_allowed() -> None:
    model = Doubler()
    run = batcher(model, max_batch_size=8)

    answers = await asyncio.gather(*(run(rows(3, caller)) for caller in range(40)))

    assert max(model.ran) <= 8
    assert all((answer == rows(3, 2 * caller)).all() for caller, answer in enumerate(answers))


async def test_a_request_as_large_as_a_batch_is_one_by_itself() -> None:
    model = Doubler()

    answer = await batcher(model, max_batch_size=8)(rows(5000, 1))

    assert answer.shape == (5000, 3)
    assert model.ran == [5000]


async def test_switched_off_each_request_runs_alone() -> None:
    model = Doubler()
    run = batcher(model, enabled=False)

    await asyncio.gather(*(run(rows(2, caller)) for caller in range(30)))

    assert model.ran == [2] * 30


async def test_a_row_that_fails_costs_no_one_else() -> None:
    run = batcher(Doubler())

    answers = await asyncio.gather(
        *(run(rows(1, -1 if caller == 7 else caller)) for caller in range(30)), return_exceptions=True
    )

    for caller, answer in enumerate(answers):
        if caller == 7:
            assert isinstance(answer, ValueError)
        else:
            assert isinstance(answer, np.ndarray)
            assert (answer == rows(1, 2 * caller)).all()


async def test_a_caller_that_leaves_takes_nothing_with_it() -> None:
    run = batcher(Doubler())
    calls = [asyncio.create_task(run(rows(1, caller))) for caller in range(10)]
    await asyncio.sleep(0)
    calls[3].cancel()

    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(answers[3], asyncio.CancelledError)
    stayed = [answer for caller, answer in enumerate(answers) if caller != 3]
    assert all(isinstance(answer, np.ndarray) for answer in stayed)


async def test_who_runs_out_of_time_gets_no_other_answer() -> None:
    """Not an overload, which would be answered a second time."""

    def slow(rows: Floats) -> Floats:
        time.sleep(0.2)
        return rows

    run = Batcher(slow, Batching(), Doubler().note)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await run(rows(100, 1))


async def test_what_comes_while_a_batch_runs_is_the_next_batch() -> None:
    model = Doubler()

    def slow(rows: Floats) -> Floats:
        time.sleep(0.05)
        return model(rows)

    run = Batcher(slow, Batching(), model.note)
    first = asyncio.create_task(run(rows(100, 1)))
    await asyncio.sleep(0.02)  # the loop is free while a large batch runs
    later = [asyncio.create_task(run(rows(1, caller))) for caller in range(20)]

    await asyncio.gather(first, *later)

    assert model.ran == [100, 20]


async def test_who_would_wait_too_long_is_told_so() -> None:
    def slow(rows: Floats) -> Floats:
        time.sleep(0.1)
        return rows

    run = Batcher(slow, Batching(max_latency_ms=50), Doubler().note)
    first = asyncio.create_task(run(rows(100, 1)))
    await asyncio.sleep(0.02)

    with pytest.raises(RequestError) as late:
        await run(rows(1, 1))
    assert late.value.code is ErrorCode.MODEL_OVERLOADED
    assert len(await first) == 100
    assert len(await run(rows(1, 1))) == 1


async def test_a_lone_caller_waits_for_nobody() -> None:
    run = batcher(Doubler())
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await run(rows(1, 1))
    counting.cancel()

    assert turns <= 3


async def test_batches_belong_to_no_callers_request() -> None:
    seen: list[str | None] = []

    def look(rows: Floats) -> Floats:
        seen.append(logs.request_id.get())
        return rows

    run = Batcher(look, Batching(), Doubler().note)
    token = logs.request_id.set("the first request")
    for _ in range(3):
        await run(rows(1, 1))
    logs.request_id.reset(token)

    assert seen == [None] * 3


class Turns:
    """Counts the turns of the event loop, and measures the longest."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def __aenter__(self) -> "Turns":
        self._counting = asyncio.create_task(self._count())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._counting.cancel()

    async def _count(self) -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest_s = max(self.longest_s, time.perf_counter() - start)


@pytest.mark.parametrize("batching", [Batching(), Batching(enabled=False)])
async def test_a_slow_model_leaves_the_event_loop_to_others(
    slow: Callable[[float], OnnxModel], batching: Batching
) -> None:
    model, ran = slow(0.8), Doubler()
    run = Batcher(model, batching, ran.note)
    run.warm_up(np.ones((1, model.width), np.float32))

    async with Turns() as turns:
        for count in (1, 3, 40):
            answers = await run(np.full((count, model.width), 2, np.float32))
            assert answers.tolist() == [[2.0 * model.width]] * count

    assert turns.longest_s < 0.4
    assert ran.ran == [1, 3, 40]


async def test_a_model_that_becomes_slow_soon_leaves_the_event_loop_to_others(
    slow: Callable[[float], OnnxModel],
) -> None:
    quick, later = slow(0.0), slow(0.8)
    models = [quick]
    run = Batcher(lambda rows: models[0](rows), Batching(), Doubler().note)
    rows = np.ones((1, quick.width), np.float32)
    run.warm_up(rows)
    models[0] = later
    await run(rows)

    async with Turns() as turns:
        await run(rows)
    assert turns.longest_s < 0.4


async def test_a_fast_model_runs_on_the_event_loop_in_all_sizes_up_to_the_bound(
    slow: Callable[[float], OnnxModel],
) -> None:
    """Also those of which the warm-up, with a single row, could not know how long they take."""
    model = slow(0.0)
    threads: list[Thread] = []

    def look(rows: Floats) -> Floats:
        threads.append(current_thread())
        return model(rows)

    run = Batcher(look, Batching(), Doubler().note)
    run.warm_up(np.ones((1, model.width), np.float32))
    for _ in range(20):
        for count in (1, 2, 8, 40, INLINE_ROWS):
            await run(np.ones((count, model.width), np.float32))
    threads.clear()
    for count in (1, 2, 8, 40, INLINE_ROWS):
        await run(np.ones((count, model.width), np.float32))
    assert threads.count(current_thread()) >= 4  # a busy machine may hold one up

    await run(np.ones((INLINE_ROWS + 1, model.width), np.float32))
    assert threads[-1] is not current_thread()


def test_a_run_that_was_held_up_once_tells_little_and_a_slow_model_much() -> None:
    times = RunTimes()
    times.expect(1, INLINE_S / 10)

    times.note(1, 10 * INLINE_S)
    assert times.allow_inline(1)
    times.note(1, INLINE_S / 10)
    times.note(1, 50 * INLINE_S)
    assert not times.allow_inline(1)
    times.note(1, INLINE_S / 10)
    assert times.allow_inline(1)


def test_a_larger_batch_is_expected_to_take_longer_until_it_is_known() -> None:
    times = RunTimes()
    times.expect(2, INLINE_S / 4)
    assert [times.allow_inline(rows) for rows in (0, 1, 2, 7, 8, 64)] == [True, True, True, True, False, False]

    times.note(8, INLINE_S / 2)
    times.note(64, INLINE_S)
    assert [times.allow_inline(rows) for rows in (7, 8, 15, 16, 64, 65)] == [True, True, True, False, True, False]


@pytest.mark.parametrize("wrong", [{"max_batch_size": 0}, {"max_latency_ms": -1}, {"max_size": 3}])
def test_a_wrong_setting_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Batching.model_validate(wrong)
