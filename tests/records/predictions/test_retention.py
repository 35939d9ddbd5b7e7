"""What is old is forgotten, bit by bit, and nobody is kept waiting for it."""

from datetime import UTC, date, datetime, timedelta
from threading import Thread
from time import perf_counter, sleep

import pytest
from sqlalchemy import delete, insert, select

from marmita.records.database.database import Database
from marmita.records.database.tables import Forecast, Label, Measurement, Prediction
from marmita.records.predictions import retention
from marmita.records.predictions.bundles import new_id
from marmita.records.predictions.retention import delete_old

NOW = datetime(2024, 6, 1, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)


def remember(database: Database, at: datetime, how_many: int = 1, size: int = 44, rows: int = 1) -> list[str]:
    """So many predictions of one moment, each row of them with a label and a stock that it is about."""
    ids = [new_id() for _ in range(how_many)]
    about = {"model": "wine_quality", "version": "v1", "request_id": "", "at": at, "seconds": 0.1, "rows": rows}
    numbers = {"inputs": bytes(size), "outputs": bytes(4)}
    with database.writing() as session:
        session.execute(insert(Prediction), [{"id": id, **about, **numbers} for id in ids])
        session.execute(
            insert(Forecast),
            [
                {"prediction_id": id, "row": row, "ticker": "MSFT", "as_of": date(2024, 5, 1)}
                for id in ids
                for row in range(rows)
            ],
        )
        session.execute(
            insert(Label),
            [
                {"prediction_id": id, "row": row, "step": 0, "value": 1.0, "at": NOW}
                for id in ids
                for row in range(rows)
            ],
        )
    return ids


def measure(database: Database, at: datetime) -> str:
    id = new_id()
    with database.writing() as session:
        session.add(Measurement(id=id, model="wine_quality", version="v1", at=at, window_s=60.0, figures={}))
    return id


def left(database: Database) -> tuple[list[str], list[str], list[str], list[str]]:
    with database.reading() as session:
        return (
            list(session.scalars(select(Prediction.id).order_by(Prediction.id))),
            list(session.scalars(select(Forecast.prediction_id).order_by(Forecast.prediction_id))),
            list(session.scalars(select(Label.prediction_id).order_by(Label.prediction_id))),
            list(session.scalars(select(Measurement.id))),
        )


def test_what_is_old_goes_with_all_that_belongs_to_it_and_what_is_newer_stays(database: Database) -> None:
    remember(database, BEFORE - timedelta(microseconds=1), 3)
    measure(database, BEFORE - timedelta(microseconds=1))
    newer = remember(database, BEFORE, 2)
    measured = measure(database, BEFORE)
    assert delete_old(database, BEFORE) == 3
    assert left(database) == (newer, newer, newer, [measured])


def test_with_nothing_old_nothing_is_forgotten(database: Database) -> None:
    newer = remember(database, NOW)
    assert delete_old(database, BEFORE) == 0
    assert left(database)[0] == newer


def test_it_goes_in_portions_with_room_for_others_between(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH_REQUESTS", 10)
    remember(database, BEFORE - timedelta(days=1), 25)
    still_there: list[int] = []
    assert delete_old(database, BEFORE, lambda _: still_there.append(len(left(database)[0]))) == 25
    assert still_there == [15, 5, 0]


def test_a_portion_has_only_so_many_rows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH_ROWS", 10)
    remember(database, BEFORE - timedelta(days=2), 5, rows=4)
    remember(database, BEFORE - timedelta(days=1), 2, rows=10)
    still_there: list[int] = []
    assert delete_old(database, BEFORE, lambda _: still_there.append(len(left(database)[0]))) == 7
    assert still_there == [5, 3, 2, 1, 0]


def test_a_request_of_very_many_rows_goes_bit_by_bit_and_itself_last(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH_ROWS", 10)
    monkeypatch.setattr(retention, "_BATCH_DEPENDENTS", 20)
    remember(database, BEFORE - timedelta(days=1), rows=50)
    newer = remember(database, BEFORE, rows=50)
    still_there: list[tuple[int, int, int]] = []

    def look(_: float) -> None:
        requests, forecasts, labels, _measured = left(database)
        still_there.append((len(requests) - 1, len(forecasts) - 50, len(labels) - 50))

    assert delete_old(database, BEFORE, look) == 1
    assert still_there == [(1, 50, 30), (1, 50, 10), (1, 50, 0), (1, 30, 0), (1, 10, 0), (1, 0, 0), (0, 0, 0)]
    assert left(database)[:3] == (newer, newer * 50, newer * 50)


def test_what_another_one_is_just_forgetting_is_left_to_it(postgresql_url: str) -> None:
    """SQLite lets only one at a time do so."""
    database, other = Database(postgresql_url), Database(postgresql_url)
    ids = remember(database, BEFORE - timedelta(days=1), 30)
    with other.writing() as session:
        session.execute(delete(Prediction).where(Prediction.id.in_(ids[:10])))
        assert delete_old(database, BEFORE) == 20
    assert left(database)[0] == []
    for each in (database, other):
        each.close()


def test_a_writer_waits_for_no_longer_than_a_portion_takes(sqlite_url: str) -> None:
    """Where only one can write at a time."""
    database, other = Database(sqlite_url), Database(sqlite_url)
    remember(database, BEFORE - timedelta(days=1), 5_000, size=2_000)
    portions: list[float] = []
    waits: list[float] = []

    def pause(seconds: float) -> None:
        portions.append(perf_counter() - sum(portions) - start - seconds * len(portions))
        sleep(seconds)

    start = perf_counter()
    forgetting = Thread(target=lambda: delete_old(database, BEFORE, pause))
    forgetting.start()
    while forgetting.is_alive():
        asked = perf_counter()
        with other.writing():
            waits.append(perf_counter() - asked)
    forgetting.join()
    assert left(database)[0] == []
    assert len(portions) == 10
    assert len(waits) > 10
    assert max(waits) < max(portions) + 0.2, "and SQLite looks every tenth of a second whether it is its turn"
    for each in (database, other):
        each.close()
