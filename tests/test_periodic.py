"""Work is repeated until it is stopped, whatever becomes of it once."""

import logging
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from threading import Event

import pytest

from marmita.periodic import Periodic
from tests.messages import logged

SOON_S = 0.01
NEVER_S = 60.0
BOUND_S = 10.0


class Work:
    """Work that notes when it is done, and fails as it is told to."""

    def __init__(self, result: Callable[[], object] = lambda: None) -> None:
        self._result = result
        self.times: list[float] = []

    def __call__(self) -> object:
        self.times.append(time.monotonic())
        return self._result()

    def wait_for(self, count: int) -> bool:
        deadline = time.monotonic() + BOUND_S
        while len(self.times) < count and time.monotonic() < deadline:
            time.sleep(SOON_S / 2)
        return len(self.times) >= count

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.times)]


Make = Callable[..., Periodic]


@pytest.fixture
def periodic() -> Iterator[Make]:
    """Makes threads, which are stopped afterwards."""
    made: list[Periodic] = []

    def make(work: Callable[[], object], interval_s: float = SOON_S, **options: object) -> Periodic:
        made.append(Periodic("test", work, interval_s, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        assert one.stop(BOUND_S)


FAILURE = ValueError("no such thing")


def fail() -> None:
    raise FAILURE


def assert_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    lines = logged(caplog, "marmita.periodic", "ERROR", "test")
    assert {line.exc_info and line.exc_info[1] for line in lines} == {FAILURE}


def test_work_is_repeated_at_the_interval(periodic: Make) -> None:
    work = Work()
    begun = time.monotonic()
    periodic(work, 0.05).start()

    assert work.wait_for(3)
    assert work.times[0] - begun >= 0.05
    assert min(work.gaps()) >= 0.05


def test_work_that_raises_is_logged_and_repeated(periodic: Make, caplog: pytest.LogCaptureFixture) -> None:
    work = Work(fail)
    with caplog.at_level(logging.ERROR):
        periodic(work).start()
        assert work.wait_for(3)

    assert_failures_are_logged(caplog)


@pytest.mark.parametrize("failing", [fail, lambda: False], ids=["raises", "returns False"])
def test_the_interval_doubles_with_each_failure_up_to_the_longest(
    periodic: Make, failing: Callable[[], object]
) -> None:
    work = Work(failing)
    periodic(work, 0.02, longest_s=0.08).start()

    assert work.wait_for(5)
    assert all(gap >= least for gap, least in zip(work.gaps(), [0.04, 0.08, 0.08, 0.08], strict=False))


def test_a_success_restores_the_interval(periodic: Make) -> None:
    results = iter([False, True])
    work = Work(lambda: next(results, None))
    periodic(work, SOON_S, longest_s=NEVER_S).start()

    assert work.wait_for(5)


def test_a_thread_that_is_woken_works_at_once(periodic: Make) -> None:
    work = Work()
    thread = periodic(work, NEVER_S)
    thread.start()
    thread.wake()

    assert work.wait_for(1)


def test_a_thread_that_is_stopped_does_its_last_work_and_no_other(periodic: Make) -> None:
    work, last = Work(), Work()
    thread = periodic(work, NEVER_S, last=last)
    thread.start()

    assert thread.stop(BOUND_S)
    assert (len(work.times), len(last.times)) == (0, 1)


def test_last_work_that_raises_is_logged(periodic: Make, caplog: pytest.LogCaptureFixture) -> None:
    thread = periodic(Work(), NEVER_S, last=fail)
    thread.start()

    assert thread.stop(BOUND_S)
    assert_failures_are_logged(caplog)


def test_stopping_waits_no_longer_than_its_bound(periodic: Make) -> None:
    release = Event()
    work = Work(lambda: release.wait(BOUND_S))
    thread = periodic(work)
    thread.start()
    assert work.wait_for(1)

    begun = time.monotonic()
    assert not thread.stop(0.05)
    assert time.monotonic() - begun < 1
    assert thread.stopping
    release.set()
    assert thread.stop(BOUND_S)


def test_work_may_stop_its_own_thread(periodic: Make) -> None:
    work = Work(lambda: thread.stop(BOUND_S))
    thread = periodic(work)
    thread.start()

    assert work.wait_for(1)
    assert thread.stop(BOUND_S)
    assert len(work.times) == 1


def test_a_thread_is_started_once(periodic: Make) -> None:
    work = Work()
    thread = periodic(work, 0.05)
    thread.start()
    thread.start()

    assert work.wait_for(4)
    assert min(work.gaps()) >= 0.05


def test_a_thread_that_was_never_started_has_ended(periodic: Make) -> None:
    assert periodic(Work()).stop()
