"""Trainers run what waits, each another one, and lose none: whoever is killed, and whatever is down."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import update

from marmita.records.database.database import Database
from marmita.records.database.tables import Lease, Training
from marmita.records.operations import training_runs, trainings
from marmita.records.operations.trainings import CANCELLED, DONE, FAILED, QUEUED, RUNNING, StopCode
from marmita.registry import champions
from marmita.settings import Settings
from marmita.shepherd.trainer import Trainer
from tests.e2e.server import ROOT, environment, until
from tests.records.conftest import database as database
from tests.records.conftest import impatient as impatient
from tests.records.conftest import sqlite_url as sqlite_url
from tests.records.postgres import Postgres
from tests.shepherd.conftest import ON_BOTH
from tests.shepherd.conftest import database_url as database_url
from tests.shepherd.stand_in_learner import ERROR, LEARNING, PACKED, STAGES, STARTED, command

pytestmark = pytest.mark.timeout(120)

NAME = "churn"


class Workshop:
    """A store, a database, and trainers at work there, each a real process."""

    def __init__(self, home: Path, database: Database, url: str) -> None:
        self.home = home
        self.database = database
        self._holds = home / "holds"
        self._holds.mkdir()
        self._variables = {"MARMITA_DATABASE_URL": url, "STAND_IN_HOLDS": str(self._holds)}
        self._started: list[psutil.Process] = []

    def order(self, name: str = NAME) -> str:
        return trainings.add(self.database, name, {"name": name, "target": "left"}, "ab" * 32, "churn.csv", 10).id

    def look(self, id: str) -> Training:
        training = trainings.get(self.database, id)
        assert training is not None
        return training

    def state(self, id: str) -> str:
        return self.look(id).state

    def trainer(self, *arguments: str, does: str = "learn", **more: str) -> "subprocess.Popen[bytes]":
        """A trainer that was started."""
        variables = environment(self.home, STAND_IN_DOES=does, **self._variables, **more)
        with (self.home / f"log-{len(self._started)}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.shepherd.stand_in_trainer", *arguments],
                cwd=ROOT,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._started.append(psutil.Process(process.pid))
        return process

    def said(self, number: int = 0) -> str:
        return (self.home / f"log-{number}").read_text()

    def hold(self, stage: str) -> None:
        (self._holds / stage).touch()

    def reached(self, stage: str) -> bool:
        return (self._holds / f"{stage}-reached").exists()

    def learner(self, stage: str) -> psutil.Process:
        return psutil.Process(int((self._holds / f"{stage}-reached").read_text()))

    def go_on(self) -> None:
        for path in self._holds.iterdir():
            path.unlink()

    def leases_expire(self) -> None:
        """As they do in 15 seconds."""
        with self.database.writing() as session:
            session.execute(update(Lease).values(until=Lease.since))

    def versions(self, name: str = NAME) -> set[str]:
        folder = self.home / "models" / name
        return {path.name for path in folder.iterdir() if path.is_dir()} if folder.exists() else set()

    def champion(self, name: str = NAME) -> str | None:
        file = self.home / "models" / name / "champion"
        return f"{name}:{file.read_text()}" if file.exists() else None

    def family(self) -> list[psutil.Process]:
        return [child for one in self._started if one.is_running() for child in one.children(recursive=True)]

    def end(self) -> None:
        for process in (*self.family(), *self._started):
            if process.is_running():
                process.kill()


@pytest.fixture
def workshop(tmp_path: Path, database: Database, database_url: str) -> Iterator[Workshop]:
    home = tmp_path / "home"
    home.mkdir()
    made = Workshop(home, database, database_url)
    yield made
    made.end()


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == "zombie"
    except psutil.NoSuchProcess:
        return True


@ON_BOTH
async def test_what_waits_is_trained_in_order_and_its_progress_is_seen(workshop: Workshop) -> None:
    first, second = workshop.order(), workshop.order("other")
    workshop.hold(LEARNING)
    trainer = workshop.trainer("--once")
    await until(lambda: workshop.look(first).progress is not None)

    running = workshop.look(first)
    assert (running.state, running.progress) == (RUNNING, {"step": "fitting", "done": 0.5, "seconds_left": 2.0})
    assert workshop.state(second) == QUEUED
    assert trainings.count_trainers(workshop.database) == 1
    workshop.go_on()
    assert trainer.wait(60) == 0

    for id, name in ((first, NAME), (second, "other")):
        done = workshop.look(id)
        assert (done.state, done.tag, done.attempts) == (DONE, workshop.champion(name), 1)
    assert trainings.count_trainers(workshop.database) == 0
    assert "reading the file" in workshop.said()


@ON_BOTH
async def test_two_trainers_take_two_trainings(workshop: Workshop) -> None:
    ids = [workshop.order("a"), workshop.order("b"), workshop.order("c")]
    workshop.hold(STARTED)
    for _ in range(2):
        workshop.trainer()
    await until(lambda: [workshop.state(id) for id in ids] == [RUNNING, RUNNING, QUEUED])

    assert workshop.look(ids[0]).holder != workshop.look(ids[1]).holder
    workshop.go_on()
    await until(lambda: {workshop.state(id) for id in ids} == {DONE})
    assert [len(workshop.versions(name)) for name in "abc"] == [1, 1, 1]
    assert [workshop.look(id).attempts for id in ids] == [1, 1, 1]


@pytest.mark.parametrize(
    ("does", "code"), [("fail", ERROR["code"]), ("crash", StopCode.CRASHED), ("hang", StopCode.TIMEOUT)]
)
def test_one_that_fails_says_why(workshop: Workshop, does: str, code: str) -> None:
    id = workshop.order()
    timeout = {"MARMITA_TRAINING_TIMEOUT": "5s"} if does == "hang" else {}

    assert workshop.trainer("--once", does=does, **timeout).wait(60) == 0

    failed = workshop.look(id)
    assert (failed.state, failed.attempts, failed.tag) == (FAILED, 1, None)
    assert failed.error is not None
    assert failed.error["code"] == code
    if does == "fail":
        assert failed.error == ERROR
    if does == "crash":
        assert failed.error["message"].endswith("RuntimeError: the learner is broken")
    assert training_runs.latest(workshop.database)[0].status == training_runs.FAILED


def test_one_that_needs_too_much_memory_is_stopped(workshop: Workshop) -> None:
    id = workshop.order()

    assert workshop.trainer("--once", does="hog", MARMITA_TRAINING_MEMORY_MB="300").wait(60) == 0

    failed = workshop.look(id)
    assert failed.error is not None
    assert failed.error["code"] == StopCode.OUT_OF_MEMORY


def test_one_that_fails_after_its_result_is_done(workshop: Workshop) -> None:
    id = workshop.order()

    assert workshop.trainer("--once", does="learn and crash").wait(60) == 0

    assert (workshop.state(id), workshop.look(id).tag) == (DONE, workshop.champion())


@pytest.mark.parametrize("stage", STAGES)
async def test_that_of_a_trainer_that_is_killed_is_trained_by_the_next_one(workshop: Workshop, stage: str) -> None:
    id = workshop.order()
    workshop.hold(stage)
    killed = workshop.trainer()
    await until(lambda: workshop.reached(stage))
    family = workshop.family()

    killed.kill()
    killed.wait()
    await until(lambda: all(map(ended, family)), 5)
    workshop.go_on()
    assert workshop.state(id) == RUNNING  # its lease has not expired
    workshop.leases_expire()
    assert workshop.trainer("--once").wait(60) == 0

    done = workshop.look(id)
    assert (done.state, done.attempts, done.tag) == (DONE, 2, workshop.champion())
    assert len(workshop.versions()) == (2 if stage == PACKED else 1)
    assert {run.status for run in training_runs.latest(workshop.database)} <= {
        training_runs.INTERRUPTED,
        training_runs.RUNNING,  # that of the stand-in, which closes none
    }
    assert not (workshop.home / "tmp").exists() or list((workshop.home / "tmp").iterdir()) == []


@pytest.mark.parametrize("stage", STAGES)
async def test_one_whose_process_is_killed_has_failed(workshop: Workshop, stage: str) -> None:
    id = workshop.order()
    workshop.hold(stage)
    trainer = workshop.trainer("--once")
    await until(lambda: workshop.reached(stage))

    workshop.learner(stage).kill()

    assert trainer.wait(30) == 0
    failed = workshop.look(id)
    assert failed.error is not None
    assert (failed.state, failed.error["code"]) == (FAILED, StopCode.CRASHED)


async def test_one_that_kills_its_trainers_is_given_up(workshop: Workshop) -> None:
    id = workshop.order()
    for _ in range(trainings.MAX_ATTEMPTS):
        workshop.hold(LEARNING)
        killed = workshop.trainer()
        await until(lambda: workshop.reached(LEARNING))
        killed.kill()
        killed.wait()
        workshop.go_on()
        workshop.leases_expire()

    assert workshop.trainer("--once").wait(60) == 0

    given_up = workshop.look(id)
    assert given_up.error is not None
    assert (given_up.state, given_up.error["code"]) == (FAILED, StopCode.INTERRUPTED)
    assert workshop.versions() == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_trainer_that_shuts_down_puts_its_training_back(workshop: Workshop, number: signal.Signals) -> None:
    id = workshop.order()
    workshop.hold(LEARNING)
    trainer = workshop.trainer()
    await until(lambda: workshop.reached(LEARNING))
    learner = workshop.learner(LEARNING)

    trainer.send_signal(number)
    assert trainer.wait(10) == 0

    assert ended(learner)
    waits = workshop.look(id)
    assert (waits.state, waits.attempts, waits.progress) == (QUEUED, 0, None)
    assert trainings.count_trainers(workshop.database) == 0
    workshop.go_on()
    assert workshop.trainer("--once").wait(60) == 0
    assert workshop.state(id) == DONE


@pytest.mark.parametrize("stage", STAGES)
async def test_one_that_is_cancelled_is_stopped(workshop: Workshop, stage: str) -> None:
    id, next_one = workshop.order(), workshop.order("other")
    workshop.hold(stage)
    workshop.trainer()
    await until(lambda: workshop.reached(stage))
    learner = workshop.learner(stage)

    assert trainings.cancel(workshop.database, id) is not None
    await until(lambda: workshop.state(id) == CANCELLED, 10)

    assert ended(learner)
    workshop.go_on()
    await until(lambda: workshop.state(next_one) == DONE)


async def test_one_that_is_cancelled_while_it_waits_is_never_begun(workshop: Workshop) -> None:
    cancelled, other = workshop.order(), workshop.order("other")
    trainings.cancel(workshop.database, cancelled)

    assert workshop.trainer("--once").wait(60) == 0

    assert (workshop.state(cancelled), workshop.state(other)) == (CANCELLED, DONE)
    assert workshop.versions() == set()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_database_that_is_down_for_a_moment_costs_nothing(workshop: Workshop, postgres: Postgres) -> None:
    """It is down while a trainer waits, while it trains, and when it has the outcome."""
    first, second = workshop.order(), workshop.order("other")
    workshop.hold(PACKED)
    workshop.trainer()
    await until(lambda: workshop.reached(PACKED))
    with postgres.stopped():
        workshop.go_on()
        await until(lambda: "can't be stored yet" in workshop.said(), 30)

    await until(lambda: {workshop.state(first), workshop.state(second)} == {DONE}, 60)
    assert workshop.look(first).attempts == 1
    with postgres.stopped():
        await until(lambda: "the trainer waits" in workshop.said(), 30)
    third = workshop.order()
    await until(lambda: workshop.state(third) == DONE, 60)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_trainer_without_a_database_for_long_gives_its_training_up(
    workshop: Workshop, postgres: Postgres
) -> None:
    """Another trainer may have taken it meanwhile."""
    id = workshop.order()
    workshop.hold(LEARNING)
    workshop.trainer()
    await until(lambda: workshop.reached(LEARNING))
    learner = workshop.learner(LEARNING)
    with postgres.stopped():
        await until(lambda: ended(learner), 30)
    workshop.go_on()

    await until(lambda: workshop.state(id) == DONE, 60)
    assert workshop.look(id).attempts == 2


@pytest.fixture
def trainer(
    database: Database, sqlite_url: str, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Trainer]]:
    """Makes trainers in this process."""
    monkeypatch.setenv("BENTOML_HOME", str(empty_store.parent))
    monkeypatch.setenv("MARMITA_DATABASE_URL", sqlite_url)
    made: list[Trainer] = []

    def make(run: Any = command, **given: Any) -> Trainer:
        made.append(Trainer(database, Settings(**given), run))
        return made[-1]

    yield make
    for each in made:
        each.close()


def order(database: Database) -> str:
    return trainings.add(database, NAME, {"name": NAME, "target": "left"}, "ab" * 32, "churn.csv", 10).id


def found(database: Database, id: str) -> Training:
    training = trainings.get(database, id)
    assert training is not None
    return training


def test_nothing_is_done_where_nothing_waits(trainer: Callable[..., Trainer]) -> None:
    one = trainer()

    assert not one.work()
    assert one.has_lease


def test_the_new_version_is_in_the_store(database: Database, trainer: Callable[..., Trainer]) -> None:
    id = order(database)

    assert trainer().work()

    champion = champions.champion(NAME)
    assert champion is not None
    assert found(database, id).tag == champion.tag


def test_one_that_can_not_be_started_has_failed(database: Database, trainer: Callable[..., Trainer]) -> None:
    def broken(_: Training) -> list[str]:
        raise OSError("no process is left")

    id = order(database)
    one = trainer(broken)

    assert not one.work()

    failed = found(database, id)
    assert failed.error is not None
    assert (failed.state, failed.error["code"]) == (FAILED, StopCode.CRASHED)


def test_one_that_can_not_read_its_order_waits_again(
    database: Database, trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = order(database)
    monkeypatch.setenv("STAND_IN_DOES", "miss")
    one = trainer()

    assert not one.work()
    assert (found(database, id).state, found(database, id).attempts) == (QUEUED, 0)
    begun = time.monotonic()
    assert not one.work()  # it waits before the next attempt
    assert time.monotonic() - begun < 0.5


def test_a_trainer_that_lost_its_lease_takes_another_one(database: Database, trainer: Callable[..., Trainer]) -> None:
    one = trainer()
    assert not one.work()
    assert one._claim is not None
    one._claim.close()
    assert not one.has_lease

    id = order(database)
    assert one.work()

    assert found(database, id).state == DONE
