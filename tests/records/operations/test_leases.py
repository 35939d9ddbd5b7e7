"""One at a time has a lease, whoever crashes, and whatever becomes of the database."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event, Thread

import pytest
from sqlalchemy import update

from marmita.records.database import tables
from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.operations import leases
from marmita.records.operations.leases import Claim, look
from tests.records.postgres import Postgres

NAME = "tests"
SHORT_S = 0.6


@pytest.fixture
def claims(database: Database) -> Iterator[Callable[..., Claim]]:
    """Makes those who want the lease. None of them has it afterwards."""
    made: list[Claim] = []

    def make(ttl_s: float = 30) -> Claim:
        made.append(Claim(database, NAME, ttl_s))
        return made[-1]

    yield make
    for claim in made:
        claim.release()


def comes_true(true: Callable[[], bool], within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while not (is_true := true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_true


def crash(claim: Claim) -> None:
    """What becomes of the lease of one who is killed: nobody renews it."""
    claim._heartbeat.stop()


def test_one_has_it_and_the_next_gets_it_when_it_is_released(database: Database, claims: Callable[..., Claim]) -> None:
    first, second = claims(), claims()

    assert look(database, NAME) is None
    assert first.take()
    assert not second.take()
    holder = look(database, NAME)
    assert holder is not None
    assert (holder.name, holder.holds) == (first.holder, True)
    assert not first.lost
    assert second.lost

    first.release()

    released = look(database, NAME)
    assert released is not None
    assert (released.name, released.holds) == (first.holder, False)
    assert first.lost
    assert second.take()


def test_of_eight_that_ask_at_once_one_gets_it(claims: Callable[..., Claim]) -> None:
    crowd = [claims() for _ in range(8)]
    got: list[bool] = []
    start = Barrier(len(crowd))

    def ask(claim: Claim) -> None:
        start.wait()
        got.append(claim.take())

    threads = [Thread(target=ask, args=(claim,)) for claim in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == [False] * 7 + [True]


def test_one_that_has_crashed_loses_it_when_it_runs_out(claims: Callable[..., Claim]) -> None:
    dead, next_one = claims(SHORT_S), claims(SHORT_S)
    begun = time.monotonic()
    assert dead.take()
    crash(dead)

    assert not next_one.take()
    assert comes_true(next_one.take)
    assert time.monotonic() - begun >= SHORT_S
    assert dead.lost


def test_it_is_renewed_as_long_as_it_is_held(database: Database, claims: Callable[..., Claim]) -> None:
    ttl_s = 2.0
    holder, other = claims(ttl_s), claims(ttl_s)
    assert holder.take()
    seen = look(database, NAME)
    assert seen is not None

    def is_renewed() -> bool:
        now = look(database, NAME)
        assert now is not None
        return now.until > seen.until + timedelta(seconds=ttl_s / 2)

    assert comes_true(is_renewed)
    assert not holder.lost
    assert not other.take()


def test_whoever_finds_another_one_in_its_place_has_lost_it(database: Database, claims: Callable[..., Claim]) -> None:
    holder = claims(SHORT_S)
    assert holder.take()
    with database.writing() as session:
        session.execute(update(tables.Lease).values(holder="another one"))

    assert comes_true(lambda: holder.lost, SHORT_S)
    holder.release()

    now = look(database, NAME)
    assert now is not None
    assert now.name == "another one"


def test_what_was_lost_stays_lost(claims: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of one whose machine has slept: the lease is there, but somebody else may have had it meanwhile."""
    holder = claims(SHORT_S)
    assert holder.take()
    asleep = leases.now() + 2 * SHORT_S
    with monkeypatch.context() as patched:
        patched.setattr(leases, "now", lambda: asleep)
        assert comes_true(lambda: all(thread.name != "lease" for thread in threading.enumerate()))

    assert comes_true(lambda: holder.lost, SHORT_S)
    assert comes_true(claims(SHORT_S).take)


def test_what_was_released_stays_released_whatever_is_under_way(
    database: Database, claims: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that began before, and gets its turn or its answer only afterwards."""
    holder = claims(SHORT_S)
    renew, renewing, released = holder._renew, Event(), Event()
    renewed: list[bool] = []

    def late() -> bool:
        """One whose answer is late, and another one that is late as a whole."""
        early = renew()
        renewing.set()
        assert released.wait(10)
        renewed.append(renew())
        return early

    monkeypatch.setattr(holder, "_renew", late)
    assert holder.take()
    assert renewing.wait(10)
    holder.release()
    released.set()

    assert comes_true(lambda: all(thread.name != "lease" for thread in threading.enumerate()))
    assert renewed == [False]
    assert holder.lost
    now = look(database, NAME)
    assert now is not None
    assert not now.holds


def test_who_has_given_up_waits_for_it_no_more(database: Database, claims: Callable[..., Claim]) -> None:
    holder, other = claims(SHORT_S), claims(SHORT_S)
    assert holder.take()
    holder.close()

    assert holder.lost
    assert comes_true(other.take)


def test_a_clock_that_was_set_back_does_not_make_it_last_for_longer(
    database: Database, claims: Callable[..., Claim]
) -> None:
    dead, next_one = claims(SHORT_S), claims(SHORT_S)
    assert dead.take()
    crash(dead)
    with database.writing() as session:
        session.execute(update(tables.Lease).values(until=datetime.now(UTC) + timedelta(hours=1)))

    assert not next_one.take()
    assert comes_true(next_one.take, 5 * SHORT_S)


def test_a_database_that_is_down_lets_nobody_have_it_and_ends_whose_it_is(
    postgres: Postgres, postgresql_url: str, impatient: None
) -> None:
    database = Database(postgresql_url)
    holder, other = Claim(database, NAME, ttl_s=1.5), Claim(database, NAME, ttl_s=1.5)
    assert holder.take()
    with postgres.stopped():
        with pytest.raises(DatabaseDownError):
            other.take()
        assert comes_true(lambda: holder.lost)
        with pytest.raises(DatabaseDownError):
            holder.release()

    assert comes_true(other.take)
    assert holder.lost
    other.release()
    database.close()


def test_one_that_gets_no_answer_has_lost_it_in_time(postgres: Postgres, postgresql_url: str, impatient: None) -> None:
    database = Database(postgresql_url)
    holder = Claim(database, NAME, ttl_s=1)
    begun = leases.now()
    assert holder.take()
    with postgres.frozen():
        assert comes_true(lambda: holder.lost, 3)
        assert leases.now() - begun < 2
    holder.release()
    database.close()
