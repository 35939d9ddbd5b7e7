"""Predictions get into the database, or it is told which did not."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from threading import Thread
from time import perf_counter

import numpy as np
import pytest
from sqlalchemy import select

from records import recorder as module
from records.database import Database
from records.recorder import FLUSH_S, Recorder, Subject, new_id
from records.tables import Forecast, Prediction
from tests.records.witness import Witness

ROWS = np.arange(22, dtype=np.float32).reshape(2, 11)
SURROGATE = "\udc80"
"""What no database takes as text."""


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def recorder(database: Database, witness: Witness) -> Iterator[Recorder]:
    recorder = Recorder(database, witness, share=1, most_bytes=1_000_000)
    yield recorder
    recorder.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 0.02)


def record(recorder: Recorder, request_id: str | None = None, rows: int = 2) -> str | None:
    inputs = np.resize(ROWS, (rows, 11))
    return recorder.record("wine_quality", "v1", request_id, inputs, inputs[:, :1], 0.25)


def ids(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Prediction.id).order_by(Prediction.id)))


def test_a_request_is_there_within_two_intervals(database: Database, recorder: Recorder, witness: Witness) -> None:
    database.upgrade()
    before = datetime.now(UTC)
    id = recorder.record("wine_quality", "v1", "a-request", ROWS, ROWS[:, 2:4], 0.25)
    after = datetime.now(UTC)
    assert witness.sees(lambda seen: seen.written == 2, within_s=2 * FLUSH_S)
    with database.reading() as session:
        kept = session.scalars(select(Prediction).where(Prediction.at >= before, Prediction.at <= after)).one()
        assert (kept.id, kept.model, kept.version, kept.request_id) == (id, "wine_quality", "v1", "a-request")
        assert (kept.rows, kept.seconds) == (2, 0.25)
        assert before <= kept.at <= after
        assert (np.frombuffer(kept.inputs, "<f4").reshape(2, 11) == ROWS).all()
        assert (np.frombuffer(kept.outputs, "<f4").reshape(2, 2) == ROWS[:, 2:4]).all()


def test_what_a_row_is_about_is_kept_beside_it(database: Database, recorder: Recorder) -> None:
    id = recorder.record("stock", "v1", None, ROWS, ROWS, 0.1, [None, Subject("MSFT", date(2024, 2, 29))])
    recorder.close()
    with database.reading() as session:
        kept = session.scalars(select(Forecast)).one()
        assert (kept.prediction_id, kept.row, kept.ticker, kept.as_of) == (id, 1, "MSFT", date(2024, 2, 29))


def test_ids_are_in_the_order_in_which_they_are_made() -> None:
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert {len(id) for id in made} == {32}


def test_requests_of_several_threads_are_all_kept_with_an_id_of_their_own(
    database: Database, recorder: Recorder, witness: Witness, quick: None
) -> None:
    told: list[str | None] = []
    threads = [Thread(target=lambda: told.extend(record(recorder) for _ in range(100))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert witness.sees(lambda seen: seen.written == 1600 and seen.left == 0)
    assert ids(database) == sorted(filter(None, told))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.1, 1000), (1.0, 10_000)])
def test_a_sample_is_about_as_large_as_it_should_be(
    share: float, expected: int, sqlite_url: str, witness: Witness
) -> None:
    recorder = Recorder(Database(sqlite_url), witness, share=share, most_bytes=100_000_000)
    told = [record(recorder) for _ in range(10_000)]
    recorder.close()
    assert abs(sum(id is not None for id in told) - expected) <= 5 * (10_000 * share * (1 - share)) ** 0.5
    assert not witness.lost, "what is not in the sample is not lost"


def test_what_does_not_fit_gets_no_id_and_is_told(
    database: Database, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 60)
    recorder = Recorder(database, witness, share=1, most_bytes=20_000)
    told = [record(recorder) for _ in range(100)]
    kept = [id for id in told if id]
    assert 10 < len(kept) < 25
    assert witness.lost == {"full": 2 * (100 - len(kept))}
    recorder.close()
    assert ids(database) == kept
    assert witness.written == 2 * len(kept)


def test_a_request_that_alone_is_too_large_does_not_stand_in_the_way(
    database: Database, witness: Witness, recorder: Recorder
) -> None:
    assert record(recorder, rows=50_000) is None
    id = record(recorder)
    recorder.close()
    assert ids(database) == [id]
    assert witness.lost == {"full": 50_000}


def test_a_backlog_is_written_in_portions(
    database: Database, recorder: Recorder, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 3)
    monkeypatch.setattr(module, "_BYTES_TOGETHER", 10_000)
    told = [record(recorder, rows=rows) for rows in (1, 1, 1, 1, 100, 100, 1000, 1, 1, 1)]
    recorder.close()
    assert ids(database) == told
    assert (witness.written, witness.left) == (1207, 0)


def test_a_request_that_the_database_refuses_takes_no_other_with_it(
    database: Database, recorder: Recorder, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    told = [record(recorder, SURROGATE if number in (0, 5, 6) else "fine") for number in range(10)]
    recorder.close()
    assert ids(database) == [id for number, id in enumerate(told) if number not in (0, 5, 6)]
    assert (witness.written, witness.lost, witness.left) == (14, {"refused": 6}, 0)
    assert caplog.text.count("left out") == 1


def test_a_request_that_the_server_refuses_takes_no_other_with_it(postgresql_url: str, witness: Witness) -> None:
    """It says so only after many have been sent, and what was sent behind it is refused as well."""
    database = Database(postgresql_url)
    recorder = Recorder(database, witness, share=1, most_bytes=1_000_000)
    told = [record(recorder, "too long" * 20 if number in (0, 5) else "fine") for number in range(10)]
    assert witness.sees(lambda seen: seen.written == 16)
    recorder.close()
    assert ids(database) == [id for number, id in enumerate(told) if number not in (0, 5)]
    assert witness.lost == {"refused": 4}
    assert False not in witness.reached
    database.close()


def test_refusals_get_a_line_now_and_then_that_counts_those_before(
    recorder: Recorder, witness: Witness, caplog: pytest.LogCaptureFixture, quick: None
) -> None:
    for _ in range(3):
        record(recorder, SURROGATE)
    assert witness.sees(lambda seen: seen.lost["refused"] == 6)
    recorder._quiet_until = 0
    record(recorder, SURROGATE)
    assert witness.sees(lambda seen: seen.lost["refused"] == 8)
    assert [line.getMessage().split(",")[0] for line in caplog.records if "left out" in line.getMessage()] == [
        "1 predictions are left out",
        "3 predictions are left out",
    ]


def test_who_asks_is_not_troubled_by_an_observer_that_fails(
    database: Database, recorder: Recorder, witness: Witness, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(rows: int) -> None:
        monkeypatch.undo()
        raise OSError(f"no room for {rows}")

    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(witness, "waiting", fail)
    first = record(recorder)
    assert witness.sees(lambda seen: seen.written == 2)
    second = record(recorder)
    assert witness.sees(lambda seen: seen.written == 4)
    assert ids(database) == [first, second]


def test_the_end_writes_what_is_left_at_once_and_takes_nothing_more(
    database: Database, recorder: Recorder, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 60)
    database.upgrade()
    id = record(recorder)
    start = perf_counter()
    recorder.close()
    assert perf_counter() - start < 5
    assert record(recorder) is None
    recorder.close()
    assert ids(database) == [id]
    assert witness.lost == {"ended": 2}


def test_the_end_leaves_no_connection_open(recorder: Recorder) -> None:
    record(recorder)
    recorder.close()
    engine = recorder._database._engine
    assert engine is not None
    assert "Connections in pool: 0 " in engine.pool.status()


def test_a_recorder_that_had_nothing_to_do_ends_as_well(recorder: Recorder, witness: Witness) -> None:
    recorder.close()
    assert not witness.lost
    assert witness.reached == [], "a database that was never asked is neither up nor down"
