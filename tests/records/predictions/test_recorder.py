"""Predictions get into the database, or it is told which did not."""

import weakref
from collections.abc import Iterator
from datetime import UTC, date, datetime
from threading import Thread
from time import perf_counter

import numpy as np
import pytest
from sqlalchemy import select

from marmita.records.database.database import Database
from marmita.records.database.tables import Forecast, Prediction
from marmita.records.predictions import recorder as module
from marmita.records.predictions.bundles import PredictionRequest, Subject, new_id
from marmita.records.predictions.recorder import FLUSH_S, Kept, Recorder
from tests.messages import logged, mentions
from tests.records.kept import name, names
from tests.records.witness import Witness

ROWS = np.arange(22, dtype=np.float32).reshape(2, 11)
SURROGATE = "\udc80"
"""What no database takes as text."""


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def recorder(database: Database, witness: Witness) -> Iterator[Recorder]:
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=1_000_000)
    yield recorder
    recorder.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 0.02)


def keep(recorder: Recorder, request_id: str | None = None, rows: int = 2, version: str = "v1") -> Kept | None:
    inputs = np.resize(ROWS, (rows, 11))
    return recorder.record("wine_quality", version, PredictionRequest(request_id, inputs, inputs[:, :1], 0.25))


def record(recorder: Recorder, request_id: str | None = None, rows: int = 2, version: str = "v1") -> str | None:
    return name(keep(recorder, request_id, rows, version))


def test_a_request_is_there_within_two_intervals(database: Database, recorder: Recorder, witness: Witness) -> None:
    database.upgrade()
    before = datetime.now(UTC)
    told = recorder.record("wine_quality", "v1", PredictionRequest("a-request", ROWS, ROWS[:, 2:4], 0.25))
    after = datetime.now(UTC)
    assert witness.sees(lambda seen: seen.written == 2, within_s=2 * FLUSH_S)
    with database.reading() as session:
        kept = session.scalars(select(Prediction).where(Prediction.at >= before, Prediction.at <= after)).one()
        assert (told, kept.model, kept.version) == ((kept.id, 0), "wine_quality", "v1")
        assert (kept.rows, kept.requests) == (2, 1)
        at = kept.asked.pop("at")
        assert kept.asked == {"request_ids": ["a-request"], "rows": [2], "seconds": [0.25]}
        assert before.timestamp() <= at[0] <= after.timestamp()
        assert before <= kept.at <= after
        assert (np.frombuffer(kept.inputs, "<f4").reshape(2, 11) == ROWS).all()
        assert (np.frombuffer(kept.outputs, "<f4").reshape(2, 2) == ROWS[:, 2:4]).all()


def test_what_a_row_is_about_is_kept_beside_it(database: Database, recorder: Recorder) -> None:
    recorder.record("stock", "v1", PredictionRequest(None, ROWS, ROWS, 0.1))
    about = [None, Subject("MSFT", date(2024, 2, 29))]
    kept_at = recorder.record("stock", "v1", PredictionRequest(None, ROWS, ROWS, 0.1, about))
    recorder.close()
    with database.reading() as session:
        kept = session.scalars(select(Forecast)).one()
        assert kept_at == (kept.prediction_id, 2)
        assert (kept.row, kept.ticker, kept.as_of) == (3, "MSFT", date(2024, 2, 29))


def test_requests_that_follow_one_another_are_kept_as_one_with_their_rows_counted_through(
    database: Database, recorder: Recorder
) -> None:
    inputs = [np.full((rows, 11), rows, dtype=np.float32) for rows in (1, 3, 2)]
    told = [
        recorder.record("wine_quality", "v1", PredictionRequest(str(len(some)), some, some[:, :1], len(some) / 8))
        for some in inputs
    ]
    recorder.close()
    with database.reading() as session:
        kept = session.scalars(select(Prediction)).one()
        assert told == [(kept.id, 0), (kept.id, 1), (kept.id, 4)]
        assert (kept.requests, kept.rows) == (3, 6)
        assert (np.frombuffer(kept.inputs, "<f4").reshape(6, 11) == np.concatenate(inputs)).all()
        assert (np.frombuffer(kept.outputs, "<f4") == [1, 3, 3, 3, 2, 2]).all()
        assert kept.asked["request_ids"] == ["1", "3", "2"]
        assert kept.asked["rows"] == [1, 3, 2]
        assert kept.asked["seconds"] == [0.125, 0.375, 0.25]
        assert kept.at.timestamp() == pytest.approx(kept.asked["at"][0], abs=1e-5)


def test_another_version_and_more_than_many_rows_are_kept_apart(database: Database, recorder: Recorder) -> None:
    asked = [("v1", 1), ("v2", 1), ("v1", 255), ("v1", 1), ("v1", 1000), ("v1", 1)]
    told = [keep(recorder, rows=rows, version=version) for version, rows in asked]
    recorder.close()
    apart = [one[0] for one in told if one]
    assert [one[1] for one in told if one] == [0, 0, 1, 0, 0, 0]
    assert apart[0] == apart[2]
    with database.reading() as session:
        kept = session.execute(select(Prediction.id, Prediction.version, Prediction.rows)).all()
    sizes = [("v1", 256), ("v2", 1), ("v1", 1), ("v1", 1000), ("v1", 1)]
    assert {id: (version, size) for id, version, size in kept} == dict(zip(dict.fromkeys(apart), sizes, strict=True))


def test_an_array_that_is_part_of_a_larger_one_is_kept_without_the_rest(recorder: Recorder) -> None:
    """A batch's outputs belong to many requests, of which a sample keeps one."""
    batch = np.zeros((10_000, 11), dtype=np.float32)
    alive = weakref.ref(batch)
    recorder.record("wine_quality", "v1", PredictionRequest(None, batch[:1], batch[:1, :1], 0.25))
    del batch
    assert alive() is None


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
    assert sorted(names(database)) == sorted(filter(None, told))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.1, 1000), (1.0, 10_000)])
def test_a_sample_is_about_as_large_as_it_should_be(
    share: float, expected: int, sqlite_url: str, witness: Witness
) -> None:
    recorder = Recorder(Database(sqlite_url), witness, sample_rate=share, most_bytes=100_000_000)
    told = [record(recorder) for _ in range(10_000)]
    recorder.close()
    assert abs(sum(id is not None for id in told) - expected) <= 5 * (10_000 * share * (1 - share)) ** 0.5
    assert not witness.lost, "what is not in the sample is not lost"


def test_what_does_not_fit_gets_no_id_and_is_told(
    database: Database, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 60)
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=20_000)
    told = [record(recorder) for _ in range(100)]
    kept = [id for id in told if id]
    assert 30 < len(kept) < 50
    assert witness.lost == {"full": 2 * (100 - len(kept))}
    recorder.close()
    assert names(database) == kept
    assert witness.written == 2 * len(kept)


def test_a_request_that_alone_is_too_large_does_not_stand_in_the_way(
    database: Database, witness: Witness, recorder: Recorder
) -> None:
    assert record(recorder, rows=50_000) is None
    id = record(recorder)
    recorder.close()
    assert names(database) == [id]
    assert witness.lost == {"full": 50_000}


def test_a_backlog_is_written_in_portions(
    database: Database, recorder: Recorder, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TRANSACTION_BYTES", 10_000)
    told = [record(recorder, rows=rows) for rows in (1, 1, 1, 1, 100, 100, 1000, 1, 1, 1)]
    recorder.close()
    assert names(database) == told
    assert (witness.written, witness.left) == (1207, 0)


def test_a_request_whose_id_the_database_refuses_is_kept_without_it_and_so_are_those_beside_it(
    database: Database, recorder: Recorder, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    told = [record(recorder, SURROGATE if number in (0, 5, 6) else "fine") for number in range(10)]
    recorder.close()
    assert names(database) == told
    assert (witness.written, witness.lost, witness.left) == (20, {}, 0)
    assert len(logged(caplog, module.__name__, "ERROR", "wine_quality")) == 1


def test_a_version_that_the_database_refuses_takes_no_other_with_it(
    database: Database, recorder: Recorder, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    told = [
        record(recorder, version=SURROGATE * number if number in (1, 5, 6) else f"v{number}") for number in range(10)
    ]
    recorder.close()
    assert names(database) == [id for number, id in enumerate(told) if number not in (1, 5, 6)]
    assert (witness.written, witness.lost, witness.left) == (14, {"refused": 6}, 0)
    assert len(logged(caplog, module.__name__, "ERROR", "wine_quality")) == 1


def test_a_version_that_the_server_refuses_takes_no_other_with_it(postgresql_url: str, witness: Witness) -> None:
    """It says so only after many have been sent, and what was sent behind it is refused as well."""
    database = Database(postgresql_url)
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=1_000_000)
    told = [record(recorder, version="too long" * 20 if number in (0, 5) else f"v{number}") for number in range(10)]
    assert witness.sees(lambda seen: seen.written == 16)
    recorder.close()
    assert names(database) == [id for number, id in enumerate(told) if number not in (0, 5)]
    assert witness.lost == {"refused": 4}
    assert False not in witness.reached
    database.close()


def test_refusals_get_a_line_now_and_then_that_counts_those_before(
    recorder: Recorder, witness: Witness, caplog: pytest.LogCaptureFixture, quick: None
) -> None:
    for number in (1, 2, 3):
        record(recorder, version=SURROGATE * number)
    assert witness.sees(lambda seen: seen.lost["refused"] == 6)
    recorder._next_log_at = 0
    record(recorder, version=SURROGATE)
    assert witness.sees(lambda seen: seen.lost["refused"] == 8)
    first, second = logged(caplog, module.__name__, "ERROR", "wine_quality")
    assert mentions(first.getMessage(), 2)
    assert mentions(second.getMessage(), 6)


def test_who_asks_is_not_troubled_by_an_observer_that_fails(
    database: Database, recorder: Recorder, witness: Witness, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(rows: int) -> None:
        monkeypatch.undo()
        raise OSError(f"no room for {rows}")

    monkeypatch.setattr(module, "LONGEST_BACKOFF_S", 0.02)
    monkeypatch.setattr(witness, "queued", fail)
    first = record(recorder)
    assert witness.sees(lambda seen: seen.written == 2)
    second = record(recorder)
    assert witness.sees(lambda seen: seen.written == 4)
    assert names(database) == [first, second]


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
    assert names(database) == [id]
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
