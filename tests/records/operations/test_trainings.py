"""Trainings are taken once, oldest first, and none is lost with its trainer."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from threading import Barrier, Thread

import pytest
from sqlalchemy import select, update

from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.database.tables import Lease, Training
from marmita.records.operations import leases, training_runs, trainings
from marmita.records.operations.leases import Claim
from marmita.records.operations.trainings import (
    CANCELLED,
    DONE,
    FAILED,
    MAX_ATTEMPTS,
    QUEUED,
    RUNNING,
    EndedError,
    QueueFullError,
    StopCode,
    TrainingOutcome,
)
from marmita.records.predictions.bundles import new_id
from marmita.records.predictions.retention import delete_old
from tests.records.postgres import Postgres

ORDER = {"name": "churn", "target": "left", "drop": ["id"]}


class Trainer:
    """A trainer with its lease."""

    def __init__(self, database: Database) -> None:
        self.lease = f"{leases.TRAINER}{token_hex(8)}"
        self.claim = Claim(database, self.lease)
        assert self.claim.take()
        self._database = database

    def take(self) -> Training | None:
        return trainings.take(self._database, self.lease, new_id())

    def took(self) -> str:
        training = self.take()
        assert training is not None
        return training.id

    def end(self, id: str, state: str = DONE, tag: str | None = "churn:v1") -> bool:
        return trainings.end(self._database, id, self.lease, TrainingOutcome(state, tag))

    def wants(self, id: str) -> bool:
        return trainings.is_wanted(self._database, id, self.lease)

    def dies(self) -> None:
        """Its heartbeat stops, and its lease expires."""
        self.claim._heartbeat.stop()
        with self._database.writing() as session:
            session.execute(update(Lease).where(Lease.name == self.lease).values(until=Lease.since))


@pytest.fixture
def trainer(database: Database) -> Iterator[Callable[[], Trainer]]:
    made: list[Trainer] = []

    def make() -> Trainer:
        made.append(Trainer(database))
        return made[-1]

    yield make
    for each in made:
        each.claim.release()


def add(database: Database, name: str = "churn", most: int = 10) -> str:
    return trainings.add(database, name, ORDER, "ab" * 32, "Churn 2026.csv", most).id


def found(database: Database, id: str) -> Training:
    training = trainings.get(database, id)
    assert training is not None
    return training


def test_a_new_one_waits(database: Database) -> None:
    id = add(database)

    training = found(database, id)
    assert (training.name, training.order, training.file) == ("churn", ORDER, "Churn 2026.csv")
    assert (training.state, training.attempts, training.cancelling) == (QUEUED, 0, False)
    assert [training.progress, training.tag, training.error, training.started_at] == [None] * 4
    assert abs(datetime.now(UTC) - training.at) < timedelta(minutes=1)
    assert trainings.get(database, "0" * 32) is None


def test_the_newest_are_shown_first(database: Database) -> None:
    first, second, third = (add(database) for _ in range(3))

    assert [one.id for one in trainings.latest(database, 2)] == [third, second]
    assert [one.id for one in trainings.latest(database, 50)] == [third, second, first]


def test_a_full_queue_takes_no_more(database: Database, trainer: Callable[[], Trainer]) -> None:
    for _ in range(3):
        add(database, most=3)
    with pytest.raises(QueueFullError):
        add(database, most=3)

    trainer().took()

    assert found(database, add(database, most=3)).state == QUEUED


def test_the_oldest_is_taken_first_and_each_once(database: Database, trainer: Callable[[], Trainer]) -> None:
    first, second = add(database), add(database)
    one, other = trainer(), trainer()

    assert (one.took(), other.took(), one.take()) == (first, second, None)
    taken = found(database, first)
    assert (taken.state, taken.holder, taken.attempts) == (RUNNING, one.lease, 1)
    assert taken.started_at is not None
    assert taken.started_at >= taken.at


def test_of_many_trainers_no_two_take_the_same(database: Database, trainer: Callable[[], Trainer]) -> None:
    ids = {add(database) for _ in range(10)}
    crowd = [trainer() for _ in range(4)]
    taken: list[str] = []
    start = Barrier(len(crowd))

    def work(one: Trainer) -> None:
        start.wait()
        while training := one.take():
            taken.append(training.id)

    threads = [Thread(target=work, args=(one,)) for one in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == sorted(ids)


def test_progress_is_stored_while_it_is_ones_own(database: Database, trainer: Callable[[], Trainer]) -> None:
    id, one = add(database), trainer()
    one.took()
    progress = {"step": "fit", "done": 0.5, "seconds_left": 3.0}

    trainings.report(database, id, one.lease, progress)
    trainings.report(database, id, trainer().lease, {"step": "another's"})

    assert found(database, id).progress == progress
    assert one.wants(id)


@pytest.mark.parametrize(
    "outcome",
    [
        TrainingOutcome(DONE, tag="churn:v1"),
        TrainingOutcome(FAILED, error={"code": "target_not_found", "message": "there is no column left"}),
        TrainingOutcome(CANCELLED),
    ],
)
def test_it_ends_with_its_outcome(database: Database, trainer: Callable[[], Trainer], outcome: TrainingOutcome) -> None:
    id, one = add(database), trainer()
    one.took()

    assert trainings.end(database, id, one.lease, outcome)

    ended = found(database, id)
    assert (ended.state, ended.tag, ended.error) == outcome
    assert ended.ended_at is not None
    assert not one.wants(id)
    assert one.take() is None


def test_its_attempt_ends_with_it(database: Database, trainer: Callable[[], Trainer]) -> None:
    one = trainer()
    for state in (FAILED, CANCELLED):
        id = add(database)
        one.took()
        run = found(database, id).run
        training_runs.begin(database, "churn", run)
        assert one.end(id, state, tag=None)

    ended = [run.status for run in training_runs.latest(database)]
    assert ended == [training_runs.INTERRUPTED, training_runs.FAILED]


def test_that_of_a_dead_trainer_is_taken_again(database: Database, trainer: Callable[[], Trainer]) -> None:
    id, dead, next_one = add(database), trainer(), trainer()
    dead.took()
    run = found(database, id).run
    training_runs.begin(database, "churn", run)
    assert next_one.take() is None

    dead.dies()

    assert next_one.took() == id
    assert (found(database, id).attempts, found(database, id).holder) == (2, next_one.lease)
    assert training_runs.latest(database)[0].status == training_runs.INTERRUPTED
    assert not dead.wants(id)
    assert not dead.end(id)
    assert next_one.end(id)


def test_one_whose_trainers_die_is_given_up(database: Database, trainer: Callable[[], Trainer]) -> None:
    id = add(database)
    for _ in range(MAX_ATTEMPTS):
        dead = trainer()
        assert dead.took() == id
        dead.dies()

    assert trainer().take() is None

    given_up = found(database, id)
    assert given_up.state == FAILED
    assert given_up.error is not None
    assert given_up.error["code"] == StopCode.INTERRUPTED
    assert given_up.ended_at is not None


def test_that_of_a_trainer_that_shuts_down_waits_again(database: Database, trainer: Callable[[], Trainer]) -> None:
    id = add(database)
    for _ in range(MAX_ATTEMPTS + 1):
        one = trainer()
        one.took()
        trainings.report(database, id, one.lease, {"step": "fit"})
        trainings.put_back(database, id, one.lease)

        waits = found(database, id)
        assert (waits.state, waits.attempts, waits.holder, waits.progress) == (QUEUED, 0, None, None)


def test_one_that_waits_is_cancelled_at_once(database: Database, trainer: Callable[[], Trainer]) -> None:
    id = add(database)

    for _ in range(2):  # once more changes nothing
        cancelled = trainings.cancel(database, id)
        assert cancelled is not None
        assert cancelled.state == CANCELLED

    assert trainer().take() is None
    assert trainings.cancel(database, "0" * 32) is None


def test_one_that_runs_is_stopped_by_its_trainer(database: Database, trainer: Callable[[], Trainer]) -> None:
    id, one = add(database), trainer()
    one.took()

    asked = trainings.cancel(database, id)

    assert asked is not None
    assert (asked.state, asked.cancelling) == (RUNNING, True)
    assert not one.wants(id)
    assert one.end(id, CANCELLED, tag=None)
    assert found(database, id).state == CANCELLED


def test_one_that_ends_before_it_is_stopped_is_done(database: Database, trainer: Callable[[], Trainer]) -> None:
    id, one = add(database), trainer()
    one.took()
    trainings.cancel(database, id)

    assert one.end(id)

    assert (found(database, id).state, found(database, id).tag) == (DONE, "churn:v1")


@pytest.mark.parametrize("dies", ["before", "after"])
def test_one_whose_trainer_dies_is_cancelled(database: Database, trainer: Callable[[], Trainer], dies: str) -> None:
    id, dead = add(database), trainer()
    dead.took()
    if dies == "before":
        dead.dies()
    asked = trainings.cancel(database, id)
    assert asked is not None
    assert asked.state == (CANCELLED if dies == "before" else RUNNING)
    if dies == "after":
        dead.dies()

    assert trainer().take() is None
    assert found(database, id).state == CANCELLED


def test_one_that_is_cancelled_while_its_trainer_shuts_down_does_not_wait_again(
    database: Database, trainer: Callable[[], Trainer]
) -> None:
    id, one = add(database), trainer()
    one.took()
    trainings.cancel(database, id)

    trainings.put_back(database, id, one.lease)

    assert found(database, id).state == CANCELLED


@pytest.mark.parametrize("state", [DONE, FAILED])
def test_one_that_has_ended_can_not_be_cancelled(
    database: Database, trainer: Callable[[], Trainer], state: str
) -> None:
    id, one = add(database), trainer()
    one.took()
    one.end(id, state)

    with pytest.raises(EndedError):
        trainings.cancel(database, id)

    assert found(database, id).state == state


def test_trainers_that_are_alive_are_counted_and_the_leases_of_dead_ones_are_deleted(
    database: Database, trainer: Callable[[], Trainer]
) -> None:
    assert trainings.count_trainers(database) == 0
    alive, dead = trainer(), trainer()
    shepherd = Claim(database, leases.SHEPHERD)
    assert shepherd.take()
    assert trainings.count_trainers(database) == 2

    dead.dies()
    shepherd.release()
    assert trainings.count_trainers(database) == 1
    add(database)
    alive.took()

    with database.reading() as session:
        assert set(session.scalars(select(Lease.name))) == {alive.lease, leases.SHEPHERD}


def test_old_ones_are_deleted_when_they_have_ended(database: Database, trainer: Callable[[], Trainer]) -> None:
    old, young, waits = (add(database) for _ in range(3))
    one = trainer()
    for id in (old, young):
        assert one.took() == id
        one.end(id)
    with database.writing() as session:
        long_ago = datetime.now(UTC) - timedelta(days=40)
        session.execute(update(Training).where(Training.id == old).values(ended_at=long_ago))
        session.execute(update(Training).where(Training.id == waits).values(at=long_ago))

    delete_old(database, datetime.now(UTC) - timedelta(days=30))

    assert [one.id for one in trainings.latest(database, 50)] == [waits, young]


def test_a_database_that_is_down_says_so(postgres: Postgres, postgresql_url: str, impatient: None) -> None:
    database = Database(postgresql_url)
    id = add(database)
    with postgres.stopped():
        for ask in (
            lambda: add(database),
            lambda: trainings.get(database, id),
            lambda: trainings.take(database, "trainer-1", new_id()),
            lambda: trainings.cancel(database, id),
        ):
            with pytest.raises(DatabaseDownError):
                ask()
    assert found(database, id).state == QUEUED
    database.close()
