"""Forecasts are labelled by themselves when the days that they are about have come."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread
from time import monotonic, perf_counter

import numpy as np
import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from marmita.records.database.database import Database
from marmita.records.database.tables import Forecast, Label, Prediction, Price, PriceRange
from marmita.records.predictions import labels, pending_forecasts
from tests.records.predictions.test_labels import ID, add, predict, stored

MONDAY = date(2012, 6, 4)
"""The first day of the prices below; there are five closes a week."""


def load(database: Database, *closes: float, first: date = MONDAY, dividend: float = 0.0, ticker: str = "MSFT") -> None:
    """Keep closes of weekdays, and that these days were fetched. The last one pays a dividend."""
    days = [day for day in (first + timedelta(days=number) for number in range(3 * len(closes))) if day.weekday() < 5]
    now = datetime.now(UTC)
    with database.writing() as session:
        for day, close in zip(days, closes, strict=False):
            session.merge(
                Price(
                    ticker=ticker,
                    day=day,
                    open=close,
                    high=close,
                    low=close,
                    close=close,
                    volume=1,
                    dividend=dividend if day == days[len(closes) - 1] else 0.0,
                    split=1.0,
                    fetched_at=now,
                )
            )
        session.merge(PriceRange(ticker=ticker, first_day=first, last_day=days[len(closes) - 1], fetched_at=now))


def forecast(
    database: Database, id: str, as_of: date, rows: Sequence[int] = (0,), last: float = 25.0, ticker: str = "MSFT"
) -> None:
    predict(database, "paths", id, rows=max(rows) + 1, last=last)
    with database.writing() as session:
        session.add_all(Forecast(prediction_id=id, row=row, ticker=ticker, as_of=as_of) for row in rows)


def label_forecasts(database: Database) -> int:
    return labels.label_forecasts(database, "MSFT")


def test_forecasts_get_the_closes_that_followed(database: Database) -> None:
    load(database, 25, 26, 27, 28, 29, 30)
    forecast(database, ID(1), as_of=MONDAY)

    assert label_forecasts(database) == 3
    assert stored(database) == pytest.approx({(ID(1), 0, 1): 26, (ID(1), 0, 2): 27, (ID(1), 0, 3): 28})
    assert label_forecasts(database) == 0


def test_forecasts_get_more_closes_as_the_days_come(database: Database) -> None:
    load(database, 25, 26)
    forecast(database, ID(1), as_of=MONDAY)

    assert label_forecasts(database) == 1
    load(database, 25, 26, 27)
    assert label_forecasts(database) == 1
    load(database, 25, 26, 27, 28, 29)
    assert label_forecasts(database) == 1
    assert stored(database) == pytest.approx({(ID(1), 0, 1): 26, (ID(1), 0, 2): 27, (ID(1), 0, 3): 28})


def test_labels_are_on_the_scale_of_the_record(database: Database) -> None:
    """The stock was split two for one since: the record knows closes of 50 where 25 is kept now."""
    load(database, 25, 26, 27, 28)
    forecast(database, ID(1), as_of=MONDAY, last=50)

    label_forecasts(database)

    assert list(stored(database).values()) == pytest.approx([52, 54, 56])


def test_a_dividend_is_part_of_what_followed(database: Database) -> None:
    """Who held the share through a fall from 26 to 25 with a dividend of 1 has lost nothing."""
    load(database, 25, 26, 25, dividend=1.0)
    forecast(database, ID(1), as_of=MONDAY)

    label_forecasts(database)

    assert list(stored(database).values()) == pytest.approx([26, 26])


def test_each_row_is_labelled_from_its_own_last_close(database: Database) -> None:
    load(database, 20, 22)
    forecast(database, ID(1), as_of=MONDAY, rows=(0, 2), last=10)

    assert label_forecasts(database) == 2
    assert stored(database) == pytest.approx({(ID(1), 0, 1): 11, (ID(1), 2, 1): 13.2})


def test_what_someone_told_stays(database: Database) -> None:
    load(database, 25, 26, 27, 28)
    forecast(database, ID(1), as_of=MONDAY)
    add(database, (f"{ID(1)}-0", [26.5]))

    assert label_forecasts(database) == 2
    assert stored(database) == pytest.approx({(ID(1), 0, 1): 26.5, (ID(1), 0, 2): 27, (ID(1), 0, 3): 28})


def test_a_day_without_prices_is_no_beginning(database: Database) -> None:
    """Nothing says what the stock was worth on the day of the forecast: the day before is another day."""
    load(database, 25, 26, 27, 28)
    forecast(database, ID(1), as_of=MONDAY - timedelta(days=3))
    forecast(database, ID(2), as_of=MONDAY + timedelta(days=4))

    assert label_forecasts(database) == 0
    assert stored(database) == {}


def test_another_stocks_forecasts_are_left_alone(database: Database) -> None:
    load(database, 25, 26)
    predict(database, "paths", ID(1))
    with database.writing() as session:
        session.add(Forecast(prediction_id=ID(1), row=0, ticker="AAPL", as_of=MONDAY))

    assert label_forecasts(database) == 0


def test_many_forecasts_are_labelled_some_at_a_time(database: Database) -> None:
    load(database, 25, 26)
    for number in range(3):
        forecast(database, ID(number), as_of=MONDAY, rows=range(900))

    assert label_forecasts(database) == 2700
    with database.reading() as session:
        assert session.execute(select(func.count()).select_from(Label)).scalar_one() == 2700
    assert label_forecasts(database) == 0


def test_forecasts_that_have_all_closes_are_not_looked_at_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database, 25, 26, 27, 28)
    forecast(database, ID(1), as_of=MONDAY)
    forecast(database, ID(2), as_of=MONDAY + timedelta(days=1))
    assert label_forecasts(database) == 5
    with database.reading() as session:
        steps = session.execute(select(Forecast.next_step).order_by(Forecast.prediction_id)).scalars().all()
    assert steps == [None, 3]

    read: list[object] = []

    def due_labels(session: Session, forecasts: Sequence[object], known: int) -> list[object]:
        read.extend(forecasts)
        return []

    monkeypatch.setattr(pending_forecasts, "due_labels", due_labels)
    assert label_forecasts(database) == 0
    assert read == []


def test_all_stocks_with_prices_are_labelled(database: Database) -> None:
    for number, ticker in enumerate(("AAPL", "MSFT", "TSLA")):
        load(database, 25, 26, ticker=ticker)
        forecast(database, ID(number), as_of=MONDAY, ticker=ticker)
    forecast(database, ID(9), as_of=MONDAY, ticker="NOPE")

    assert labels.label_all(database) == 3
    assert {id for id, _, _ in stored(database)} == {ID(0), ID(1), ID(2)}
    assert labels.label_all(database) == 0


def test_what_the_budget_leaves_is_labelled_the_next_time(database: Database) -> None:
    load(database, 25, 26)
    forecast(database, ID(1), as_of=MONDAY)

    assert labels.label_all(database, budget_s=0) == 0
    assert labels.label_forecasts(database, "MSFT", deadline=monotonic()) == 0
    assert labels.label_all(database) == 1


@pytest.mark.parametrize("last", [float("nan"), float("inf")])
def test_a_damaged_record_keeps_no_other_from_its_label(database: Database, last: float) -> None:
    load(database, 25, 26)
    forecast(database, ID(1), as_of=MONDAY, last=last)
    forecast(database, ID(2), as_of=MONDAY)
    forecast(database, ID(3), as_of=MONDAY)
    with database.writing() as session:
        session.execute(update(Prediction).where(Prediction.id == ID(3)).values(inputs=b""))

    assert label_forecasts(database) == 1
    assert set(stored(database)) == {(ID(2), 0, 1)}


def test_what_is_forgotten_meanwhile_gets_no_label(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right between the moment when it is read and the one when its labels are written."""
    load(database, 25, 26)
    forecast(database, ID(1), as_of=MONDAY)
    forecast(database, ID(2), as_of=MONDAY)
    due_labels = pending_forecasts.due_labels

    def read(session: Session, *what: object) -> list[object]:
        found = list(due_labels(session, *what))  # type: ignore[arg-type]
        with database.writing() as other:
            other.execute(delete(Prediction).where(Prediction.id == ID(1)))
        return found  # type: ignore[return-value]

    monkeypatch.setattr(pending_forecasts, "due_labels", read)
    assert label_forecasts(database) == 1
    assert set(stored(database)) == {(ID(2), 0, 1)}


def many(database: Database, count: int, together: int) -> None:
    """Forecasts of one day, so many in a request."""
    with database.writing() as session:
        inputs, outputs = np.full((together, 5), 25, "<f4").tobytes(), np.ones((together, 9), "<f4").tobytes()
        about = {"model": "paths", "version": "v1", "request_id": "", "at": datetime.now(UTC), "seconds": 0.001}
        what = {"rows": together, "inputs": inputs, "outputs": outputs}
        ids = [ID(number) for number in range(count // together)]
        session.connection().execute(insert(Prediction), [{"id": id, **about, **what} for id in ids])
        rows = [{"prediction_id": id, "row": row} for id in ids for row in range(together)]
        of = {"ticker": "MSFT", "as_of": MONDAY}
        session.connection().execute(insert(Forecast), [one | of for one in rows])


@pytest.mark.parametrize("together", [1, 10_000])
def test_many_forecasts_of_one_day_take_seconds_and_nobody_waits_long(
    database: Database, database_url: str, together: int
) -> None:
    load(database, 25, 26, 27, 28)
    many(database, 20_000, together)
    ended, waits = Event(), list[float]()

    def write() -> None:
        mine = Database(database_url)
        number = 0
        while not ended.wait(0.05):
            begun, number = perf_counter(), number + 1
            predict(mine, "grades", ID(10**9 + number))
            waits.append(perf_counter() - begun)
        mine.close()

    other = Thread(target=write)
    other.start()
    begun = perf_counter()
    try:
        assert label_forecasts(database) == 60_000
        took = perf_counter() - begun
    finally:
        ended.set()
        other.join()
    assert took < 20
    assert len(waits) > 1
    assert max(waits) < 3
