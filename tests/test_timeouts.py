"""Who runs out of time is told so, and nobody else."""

import asyncio

import pytest

from marmita.timeouts import Deadline


async def take(deadline: Deadline, seconds: float) -> str:
    try:
        with deadline.begin():
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "too late"
    return "in time"


async def test_each_has_its_own_time() -> None:
    deadline = Deadline(0.1)
    first = [asyncio.create_task(take(deadline, seconds)) for seconds in (0.01, 5, 0.02, 5)]
    await asyncio.sleep(0.06)
    second = [asyncio.create_task(take(deadline, seconds)) for seconds in (0.08, 5)]

    assert await asyncio.gather(*first) == ["in time", "too late", "in time", "too late"]
    assert await asyncio.gather(*second) == ["in time", "too late"]


async def test_it_goes_on_after_a_rest() -> None:
    deadline = Deadline(0.05)

    assert await take(deadline, 0) == "in time"
    await asyncio.sleep(0.1)
    assert await take(deadline, 5) == "too late"
    assert await take(deadline, 0) == "in time"


async def test_who_is_cancelled_by_another_is_not_too_late() -> None:
    waiting = asyncio.create_task(take(Deadline(1), 5))
    await asyncio.sleep(0.01)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_error_within_the_time_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="mine"), Deadline(1).begin():
        raise ValueError("mine")


async def test_those_that_are_done_are_not_kept() -> None:
    deadline = Deadline(60)

    for _ in range(1000):
        assert await take(deadline, 0) == "in time"

    assert len(deadline._running) <= 2
