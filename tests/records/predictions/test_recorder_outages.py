"""Predictions that are made while the database is away, or while somebody ends: what is lost, and what is not."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import IO, ClassVar

import numpy as np
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.database.tables import Base, Prediction
from marmita.records.predictions import recorder as module
from marmita.records.predictions.bundles import PredictionRequest
from marmita.records.predictions.recorder import FLUSH_S, Recorder
from tests.messages import logged
from tests.records.kept import name, names
from tests.records.postgres import Postgres
from tests.records.witness import Witness

ROW = np.arange(11, dtype=np.float32)[None]

Outage = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 0.05)
    monkeypatch.setattr(module, "LONGEST_BACKOFF_S", 0.1)


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def outage(database_url: str, request: pytest.FixtureRequest) -> Outage:
    """For a while nobody can write: PostgreSQL is stopped, SQLite is held by somebody else."""
    if database_url.startswith("postgresql"):
        postgres: Postgres = request.getfixturevalue("postgres")
        return postgres.stopped

    @contextmanager
    def held() -> Iterator[None]:
        hog = Database(database_url)
        with hog.writing():
            yield
        hog.close()

    return held


def record(recorder: Recorder) -> str | None:
    return name(recorder.record("wine_quality", "v1", PredictionRequest(None, ROW, ROW[:, :1], 0.25)))


def test_what_is_recorded_during_an_outage_is_written_once_when_it_is_over(
    database: Database, outage: Outage, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=100_000)
    told = [record(recorder)]
    assert witness.sees(lambda seen: seen.written == 1)
    with outage():
        told.append(record(recorder))
        assert witness.sees(lambda seen: seen.reached.count(False) >= 2)
        start = time.perf_counter()
        told += [record(recorder) for _ in range(1000)]
        assert time.perf_counter() - start < 0.5, "nobody waits for a database that is away"
        assert witness.sees(lambda seen: seen.left > 1)
    kept = [id for id in told if id]
    assert witness.sees(lambda seen: seen.written == len(kept) and seen.reached[-1])
    recorder.close()
    assert names(database) == kept
    assert witness.lost == {"full": 1002 - len(kept)}
    assert len(logged(caplog, module.__name__, "WARNING")) == 1


def test_what_is_recorded_before_the_database_was_ever_there_is_written_when_it_comes(
    database: Database, database_url: str, outage: Outage, witness: Witness
) -> None:
    if database_url.startswith("sqlite"):
        database.upgrade()  # a file is held by somebody only if it is there
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=100_000)
    with outage():
        id = record(recorder)
        assert witness.sees(lambda seen: False in seen.reached)
    assert witness.sees(lambda seen: seen.written == 1)
    recorder.close()
    assert names(database) == [id]


def test_tables_that_are_gone_for_a_while_cost_nothing(database: Database, witness: Witness) -> None:
    """As while a backup is played back: whoever asks says that they are not there, which is no fault of the records."""
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=100_000)
    told = [record(recorder)]
    assert witness.sees(lambda seen: seen.written == 1)
    with database.writing() as session:
        session.execute(text("ALTER TABLE predictions RENAME TO put_aside"))
    told.append(record(recorder))
    assert witness.sees(lambda seen: bool(seen.lost) or seen.reached.count(False) >= 2)
    told += [record(recorder) for _ in range(20)]
    with database.writing() as session:
        session.execute(text("ALTER TABLE put_aside RENAME TO predictions"))
    assert witness.sees(lambda seen: seen.written == 22)
    recorder.close()
    assert names(database) == told
    assert witness.lost == {}


def test_tables_that_somebody_dropped_are_made_anew_while_the_service_runs(
    database: Database, witness: Witness
) -> None:
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=100_000)
    record(recorder)
    assert witness.sees(lambda seen: seen.written == 1)
    with database.writing() as session:
        Base.metadata.drop_all(session.connection())
        session.execute(text("DROP TABLE alembic_version"))
    id = record(recorder)
    assert witness.sees(lambda seen: bool(seen.lost) or seen.written == 2)
    recorder.close()
    assert names(database) == [id]
    assert witness.lost == {}


def test_requests_that_use_up_their_connections_are_no_outage(database: Database, witness: Witness) -> None:
    with ExitStack() as readers:

        def use_up() -> None:
            while True:
                readers.enter_context(database.reading())

        with pytest.raises(DatabaseDownError):
            use_up()
        recorder = Recorder(database, witness, sample_rate=1, most_bytes=100_000)
        record(recorder)
        assert witness.sees(lambda seen: seen.written == 1)
        recorder.close()
    assert False not in witness.reached


class Failing(Database):
    """One that fails now and then: `fails` is told when it is about to write, and when it has written."""

    fails: ClassVar[Callable[[str], None]]

    @contextmanager
    def writing(self) -> Iterator[Session]:
        type(self).fails("before")
        with super().writing() as session:
            yield session
        type(self).fails("after")


@pytest.mark.parametrize(
    ("when", "error"),
    [
        pytest.param("after", DatabaseDownError("the connection was lost"), id="without-an-answer"),
        pytest.param("before", RuntimeError("nobody thought of this"), id="for-reasons-unknown"),
        pytest.param("before", ValueError("nobody thought of this"), id="with-a-value-that-is-not-the-records"),
    ],
)
def test_what_could_not_be_written_is_written_later_and_once(
    when: str,
    error: Exception,
    database_url: str,
    witness: Witness,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = [error] * 8

    def fail(now: str) -> None:
        if now == when and errors:
            raise errors.pop()

    monkeypatch.setattr(Failing, "fails", staticmethod(fail), raising=False)
    database = Failing(database_url)
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=100_000)
    told = [record(recorder) for _ in range(20)]
    assert witness.sees(lambda seen: seen.written == 20)
    recorder.close()
    assert names(database) == told
    assert not errors
    assert (witness.written, witness.lost) == (20, {})
    database.close()


def test_an_end_during_an_outage_comes_soon_and_says_what_is_lost(
    database: Database, outage: Outage, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    database.upgrade()
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=100_000)
    with outage():
        told = [record(recorder) for _ in range(20)]
        start = time.perf_counter()
        recorder.close()
        assert time.perf_counter() - start < 5
    assert None not in told
    assert witness.lost == {"ended": 20}
    assert len(logged(caplog, module.__name__, "ERROR", 20)) == 1


def test_an_end_is_not_held_up_by_a_server_that_freezes(
    postgres: Postgres, postgresql_url: str, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHUTDOWN_S", 0.3)
    database = Database(postgresql_url)
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=100_000)
    record(recorder)
    assert witness.sees(lambda seen: seen.written == 1)
    with postgres.frozen():
        record(recorder)
        start = time.perf_counter()
        recorder.close()
        assert time.perf_counter() - start < 2
    assert witness.lost == {"ended": 1}
    assert recorder._thread is not None
    assert recorder._thread.stop(30)
    database.close()


def chatterbox(url: str, how_many: int, pause_s: float = 0, into: int | IO[str] = subprocess.PIPE) -> Popen[str]:
    command = [sys.executable, "-m", "tests.records.chatterbox", url, str(how_many), str(pause_s)]
    return Popen(command, stdout=into, text=True)


def test_a_process_that_is_killed_loses_no_more_than_the_last_interval(database: Database, database_url: str) -> None:
    process = chatterbox(database_url, 1_000_000, 0.002)
    assert process.stdout is not None
    said: list[tuple[float, str]] = []
    try:
        while not said or said[-1][0] - said[0][0] < 2.5 * FLUSH_S:
            at, id = process.stdout.readline().split()
            said.append((float(at), id))
    finally:
        process.kill()
        killed = time.monotonic()
        rest = process.stdout.read()
        process.wait()
    said += [(float(at), id) for at, id in (line.split() for line in rest.splitlines() if line.count(" ") == 1)]
    kept = set(names(database))
    lost = [at for at, id in said if id != "None" and id not in kept]
    allowed_s = FLUSH_S + 0.5  # and the time that a transaction takes on a busy machine
    assert len(kept) > 100
    assert all(killed - at < allowed_s for at in lost)


def test_two_processes_that_write_at_once_lose_nothing(database: Database, database_url: str, tmp_path: Path) -> None:
    said = [tmp_path / "one", tmp_path / "other"]
    processes = []
    for path in said:
        with path.open("w") as output:
            processes.append(chatterbox(database_url, 10_000, 0.0001, output))
    assert [process.wait(120) for process in processes] == [0, 0]
    assert [path.read_text().splitlines()[-1] for path in said] == ["10000 0"] * 2
    with database.reading() as session:
        assert session.scalar(select(func.sum(Prediction.requests))) == 20_000
