"""The truth about predicted rows, as it comes in later: told by someone, or found in the prices that followed."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from struct import unpack
from typing import NamedTuple, TypeVar

from sqlalchemy import Integer, LargeBinary, Select, func, select, tuple_
from sqlalchemy.orm import Session

from records import prices
from records.database import insert_into
from records.judging import Judge
from records.tables import Forecast, Label, Prediction

_ID = re.compile(r"([0-9a-f]{32})-(0|[1-9][0-9]{0,8})")
_TOGETHER = 1000
"""So many are asked for or written in one statement."""
_NUMBER = 4
"""Bytes of a number in a record."""

T = TypeVar("T")

Key = tuple[str, int, int]
"""Prediction, row and step: where a label belongs."""


class WrongLabelError(Exception):
    """A label that can't be one. It begins with the label's place among those that were given."""


class Added(NamedTuple):
    """What became of labels."""

    stored: int
    """New ones, and those that replaced another one."""
    unchanged: int
    unknown: list[str]
    """Ids of no row that is kept."""


class _Known(NamedTuple):
    """What is kept of a prediction that labels are about."""

    model: str
    rows: int


def add(session: Session, judges: Mapping[str, Judge], labels: Sequence[tuple[str, object]]) -> Added:
    """Keep what is true about rows. All or, if one of the labels is wrong, none."""
    places = [_place(index, id) for index, (id, _) in enumerate(labels)]
    predictions = _predictions(session, {prediction for prediction, _ in places})
    values = _values(session, predictions)
    stored, unknown, changed = 0, [], dict[Key, float]()
    for index, ((prediction, row), (id, truth)) in enumerate(zip(places, labels, strict=True)):
        kept = predictions.get(prediction)
        if kept is None or row >= kept.rows or kept.model not in judges:
            unknown.append(id)
            continue
        steps = _read(index, judges[kept.model], truth)
        new = {(prediction, row, step): value for step, value in steps if values.get((prediction, row, step)) != value}
        values |= new
        changed |= new
        stored += bool(new)
    _write(session, changed)
    return Added(stored, len(labels) - stored - len(unknown), unknown)


def label_forecasts(session: Session, ticker: str) -> int:
    """Give forecasts of a stock the closes of those of their days that have come. Returns how many days got theirs."""
    labelled = 0
    future = _Future(session, ticker)
    for forecasts in _unlabelled(session, ticker):
        found: dict[Key, float] = {}
        for forecast in forecasts:
            closes = future.closes(forecast)
            for step in range(forecast.labelled + 1, min(forecast.horizon, len(closes)) + 1):
                found[forecast.prediction_id, forecast.row, step] = closes[step - 1]
        _write(session, found)
        labelled += len(found)
    return labelled


class _Unlabelled(NamedTuple):
    """A forecast of which not all days have their close."""

    prediction_id: str
    row: int
    as_of: date
    last: bytes
    """The last close that it was made from, as the record has it."""
    horizon: int
    labelled: int
    """Labels come day by day, so those that are there are of the first days."""


class _Future:
    """The closes that followed a day, looked up once for all forecasts of that day."""

    def __init__(self, session: Session, ticker: str) -> None:
        self._session = session
        self._ticker = ticker
        self._looked_up: tuple[date, int] | None = None
        self._relative: list[float] = []

    def closes(self, forecast: _Unlabelled) -> list[float]:
        """On the scale of the forecast's own closes: a stock may have been split since, and who asked may have another
        currency.
        """
        if self._looked_up != (forecast.as_of, forecast.horizon):
            self._relative = self._look_up(forecast.as_of, forecast.horizon)
            self._looked_up = forecast.as_of, forecast.horizon
        (last,) = unpack("<f", forecast.last)
        return [close * last for close in self._relative]

    def _look_up(self, as_of: date, days: int) -> list[float]:
        """As multiples of the close from which the forecast was made; none if that one is not there."""
        try:
            now = prices.history(self._session, self._ticker, as_of, 1)
        except prices.NotEnoughHistoryError:
            return []
        future = prices.future(self._session, self._ticker, as_of, days)
        return [close / now.values[0] for close in future.values]


def _place(index: int, id: str) -> tuple[str, int]:
    if not (read := _ID.fullmatch(id)):
        raise WrongLabelError(f"labels[{index}].id: must be the id that came with an answer, such as {'0' * 32}-0")
    return read[1], int(read[2])


def _read(index: int, judge: Judge, truth: object) -> list[tuple[int, float]]:
    try:
        return judge.read(truth)
    except ValueError as error:
        raise WrongLabelError(f"labels[{index}].truth: {error}") from None


def _predictions(session: Session, ids: Iterable[str]) -> dict[str, _Known]:
    """Those that are kept. They can't be forgotten before their labels are written."""
    found: dict[str, _Known] = {}
    for some in _parts(sorted(ids)):
        query = select(Prediction.id, Prediction.model, Prediction.rows).where(Prediction.id.in_(some))
        for id, model, rows in session.execute(query.with_for_update(read=True, key_share=True)):
            found[id] = _Known(model, rows)
    return found


def _values(session: Session, ids: Iterable[str]) -> dict[Key, float]:
    values: dict[Key, float] = {}
    for some in _parts(sorted(ids)):
        query = select(Label.prediction_id, Label.row, Label.step, Label.value).where(Label.prediction_id.in_(some))
        values |= {(id, row, step): value for id, row, step, value in session.execute(query)}
    return values


def _write(session: Session, values: Mapping[Key, float]) -> None:
    """In the order of their keys: two that write the same labels then wait for one another and not in a circle."""
    insert = insert_into(session, Label)
    new = {"value": insert.excluded.value, "at": insert.excluded.at}
    insert = insert.on_conflict_do_update(index_elements=["prediction_id", "row", "step"], set_=new)
    now = datetime.now(UTC)
    for keys in _parts(sorted(values)):
        rows = [
            {"prediction_id": id, "row": row, "step": step, "value": values[id, row, step], "at": now}
            for id, row, step in keys
        ]
        session.execute(insert, rows)


def _unlabelled(session: Session, ticker: str) -> Iterator[list[_Unlabelled]]:
    """Forecasts of a stock that lack labels, the oldest first, some at a time."""
    place = tuple_(Forecast.as_of, Forecast.prediction_id, Forecast.row)
    query = _lacking(ticker).order_by(Forecast.as_of, Forecast.prediction_id, Forecast.row).limit(_TOGETHER)
    found = [_Unlabelled._make(row) for row in session.execute(query)]
    while found:
        yield found
        last = found[-1]
        after = query.where(place > (last.as_of, last.prediction_id, last.row))
        found = [_Unlabelled._make(row) for row in session.execute(after)]


def _lacking(ticker: str) -> Select[str, int, date, bytes, int, int]:
    row_bytes = func.length(Prediction.inputs, type_=Integer()) // Prediction.rows
    last = func.substr(Prediction.inputs, (Forecast.row + 1) * row_bytes - (_NUMBER - 1), _NUMBER, type_=LargeBinary())
    horizon = func.length(Prediction.outputs, type_=Integer()) // Prediction.rows // (3 * _NUMBER)
    labelled = (
        select(func.count())
        .where(Label.prediction_id == Forecast.prediction_id, Label.row == Forecast.row)
        .correlate(Forecast)
        .scalar_subquery()
    )
    return (
        select(Forecast.prediction_id, Forecast.row, Forecast.as_of, last, horizon, labelled)
        .join(Prediction, Prediction.id == Forecast.prediction_id)
        .where(Forecast.ticker == ticker, labelled < horizon)
    )


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _TOGETHER] for start in range(0, len(items), _TOGETHER))
