"""Forecasts that wait for prices to label them: which of them, and with what."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from struct import unpack_from
from typing import NamedTuple

from sqlalchemy import Integer, func, select, tuple_
from sqlalchemy.orm import Session

from marmita.records.database import bulk
from marmita.records.database.tables import Forecast, Prediction
from marmita.records.predictions.bundles import NUMBERS
from marmita.records.prices import prices

_TOGETHER = 1000
"""The most forecasts of one transaction: other writers wait for its end."""
_BYTES_TOGETHER = 8_000_000
"""The most bytes of records that one statement reads."""
_FARTHEST = 366
"""The farthest day after its own that a forecast is labelled for."""
_PLACE = (Forecast.next_step, Forecast.prediction_id, Forecast.row)

Place = tuple[int, str, int]
"""Where a forecast stands among those of its stock and day: its next step, its prediction and its row."""

FIRST: Place = (0, "", 0)


class DueLabels(NamedTuple):
    """The labels of one forecast that prices give now: of its steps from the first to the last."""

    prediction_id: str
    row: int
    scale: float
    """The forecast's own last close. The closes that followed are told as multiples of it."""
    first: int
    last: int


class PendingForecast(NamedTuple):
    """A forecast that lacks closes which are known."""

    next_step: int
    prediction_id: str
    row: int
    record: "Record"

    def last(self, inputs: bytes) -> float:
        """Return the last close that the forecast was made from, as the record has it."""
        end = (self.row + 1) * (len(inputs) // self.record.rows)
        return (
            float(unpack_from("<f", inputs, end - NUMBERS.itemsize)[0])
            if NUMBERS.itemsize <= end <= len(inputs)
            else math.nan
        )


class Record(NamedTuple):
    """How large the record of a forecast's prediction is."""

    rows: int
    horizon: int
    inputs_size: int


def next_day(session: Session, ticker: str, after: date) -> date | None:
    """Return the next day with pending forecasts, before the last day with a stored price."""
    waits = Forecast.ticker == ticker, Forecast.next_step.is_not(None)
    days = Forecast.as_of > after, Forecast.as_of < (prices.last_day(session, ticker) or date.min)
    query = select(Forecast.as_of).where(*waits, *days).order_by(Forecast.as_of).limit(1)
    return session.execute(query).scalar()


def closes_since(session: Session, ticker: str, as_of: date) -> list[float]:
    """Return the closes after a day, as multiples of the close from which a forecast of that day was made.

    On the scale of a forecast's own closes they can be compared: a stock may have been split since, and who asked may
    have another currency.
    """
    try:
        now = prices.history(session, ticker, as_of, 1)
    except prices.NotEnoughHistoryError:
        return []
    return [close / now.values[0] for close in prices.future(session, ticker, as_of, _FARTHEST).values]


def pending(session: Session, ticker: str, as_of: date, known: int, after: Place) -> list[PendingForecast]:
    """Return the next forecasts of a day that lack closes, if `known` closes after that day are stored."""
    found = session.execute(
        select(*_PLACE)
        .where(Forecast.ticker == ticker, Forecast.as_of == as_of, Forecast.next_step <= known)
        .where(tuple_(*_PLACE) > after)
        .order_by(*_PLACE)
        .limit(_TOGETHER)
    ).all()
    # Many forecasts have one record: it is looked up once.
    records = _records(session, {id for _, id, _ in found})
    return [PendingForecast(step or 0, id, row, records[id]) for step, id, row in found]


def _records(session: Session, ids: Collection[str]) -> dict[str, Record]:
    inputs, outputs = (func.length(blob, type_=Integer()) for blob in (Prediction.inputs, Prediction.outputs))
    found = session.execute(
        select(Prediction.id, Prediction.rows, inputs.label("inputs"), outputs.label("outputs")).where(
            bulk.is_among(session, Prediction.id, ids)
        )
    )
    step = 3 * NUMBERS.itemsize
    return {one.id: Record(one.rows, one.outputs // one.rows // step if one.rows else 0, one.inputs) for one in found}


def due_labels(session: Session, forecasts: Iterable[PendingForecast], known: int) -> Iterator[DueLabels]:
    """Yield the labels that are due: those of steps whose closes are stored, and that have none yet."""
    of = defaultdict[str, list[PendingForecast]](list)
    for forecast in forecasts:
        of[forecast.prediction_id].append(forecast)
    sizes = {id: some[0].record.inputs_size for id, some in of.items() if some[0].record.horizon}
    for ids in bulk.portions(sizes, _BYTES_TOGETHER, _TOGETHER):
        for id, inputs in session.execute(
            select(Prediction.id, Prediction.inputs).where(bulk.is_among(session, Prediction.id, ids))
        ):
            for forecast in of[id]:
                last = forecast.last(inputs)
                if math.isfinite(last):  # a damaged record is no reason not to label the others
                    yield DueLabels(id, forecast.row, last, forecast.next_step, min(forecast.record.horizon, known))
