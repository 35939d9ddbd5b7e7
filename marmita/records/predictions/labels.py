"""The truth about predicted rows, as it comes in later: told by someone, or found in the prices that followed."""

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from operator import itemgetter
from random import sample
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, func, select, text
from sqlalchemy.orm import Session

from marmita.records.database import bulk
from marmita.records.database.database import Database, insert_into
from marmita.records.database.tables import Label, Prediction
from marmita.records.predictions import pending_forecasts
from marmita.records.predictions.pending_forecasts import DueLabels, PendingForecast
from marmita.records.prices import prices
from marmita.records.quality.evaluators import Evaluator

_ID = re.compile(r"([0-9a-f]{32})-(0|[1-9][0-9]{0,8})")
_TOGETHER = 1000
"""The most labels that one statement reads or writes."""
_ADD_ROWS = """
INSERT INTO labels (prediction_id, row, step, value, at)
WITH followed (step, ratio) AS (VALUES {}), due (id, row, scale, first, last, at) AS (VALUES (?, ?, ?, ?, ?, ?))
SELECT id, row, step, ratio * scale, at FROM due JOIN followed ON step BETWEEN first AND last WHERE true
ON CONFLICT DO NOTHING
"""
_DUE = ("ids", "rows", "scales", "firsts", "lasts")
_ADD_COLUMNS = """
INSERT INTO labels (prediction_id, row, step, value, at)
SELECT due.id, due.row, followed.step, followed.ratio * due.scale, CAST(:at AS timestamptz)
FROM unnest(
    CAST(:ids AS varchar[]), CAST(:rows AS integer[]), CAST(:scales AS double precision[]),
    CAST(:firsts AS integer[]), CAST(:lasts AS integer[])
) WITH ORDINALITY AS due (id, row, scale, first, last, place)
JOIN unnest(CAST(:followed AS double precision[])) WITH ORDINALITY AS followed (ratio, step)
    ON followed.step BETWEEN due.first AND due.last
ORDER BY due.place, followed.step
ON CONFLICT DO NOTHING
"""
_ADVANCE_ROWS = """
UPDATE forecasts SET next_step = ?
WHERE prediction_id = ? AND row BETWEEN ? AND ? AND next_step = ? AND ticker = ? AND as_of = ?
"""
_RUN = ("nexts", "ids", "firsts", "lasts", "steps")
_ADVANCE_COLUMNS = """
UPDATE forecasts SET next_step = run.next
FROM unnest(
    CAST(:nexts AS integer[]), CAST(:ids AS varchar[]), CAST(:firsts AS integer[]), CAST(:lasts AS integer[]),
    CAST(:steps AS integer[])
) AS run (next, id, first, last, step)
WHERE prediction_id = run.id AND row BETWEEN run.first AND run.last AND next_step = run.step
    AND ticker = :ticker AND as_of = :as_of
"""

BUDGET_S = 60.0
"""The longest time of one labelling. The next one goes on where it ended."""

Key = tuple[str, int, int]
"""Prediction, row and step: where a label belongs."""

T = TypeVar("T")


class WrongLabelError(Exception):
    """A label that can't be one. It begins with the label's place among those that were given."""


class LabelCounts(NamedTuple):
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


def add(session: Session, evaluators: Mapping[str, Evaluator], labels: Sequence[tuple[str, object]]) -> LabelCounts:
    """Keep what is true about rows. All or, if one of the labels is wrong, none."""
    places = [_place(index, id) for index, (id, _) in enumerate(labels)]
    predictions = _predictions(session, {prediction for prediction, _ in places})
    values = _values(session, predictions)
    stored, unknown, changed = 0, [], dict[Key, float]()
    for index, ((prediction, row), (id, truth)) in enumerate(zip(places, labels, strict=True)):
        kept = predictions.get(prediction)
        if kept is None or row >= kept.rows or kept.model not in evaluators:
            unknown.append(id)
            continue
        steps = _read(index, evaluators[kept.model], truth)
        new = {(prediction, row, step): value for step, value in steps if values.get((prediction, row, step)) != value}
        values |= new
        changed |= new
        stored += bool(new)
    _write(session, changed)
    return LabelCounts(stored, len(labels) - stored - len(unknown), unknown)


def unknown(session: Session, ids: Iterable[str]) -> list[str]:
    """Those of the ids under which no row is kept. What can't be an id is left to `add`."""
    places = {id: (read[1], int(read[2])) for id in ids if (read := _ID.fullmatch(id))}
    kept = _predictions(session, {prediction for prediction, _ in places.values()}, lock=False)
    return [id for id, (prediction, row) in places.items() if prediction not in kept or row >= kept[prediction].rows]


def label_all(database: Database, budget_s: float = BUDGET_S) -> int:
    """Label the forecasts of all stocks of which prices are kept, as `label_forecasts` does.

    What is not done within the budget is left for the next time.
    """
    deadline = time.monotonic() + budget_s
    with database.reading() as session:
        tickers = prices.tickers(session)
    # In another order each time: no stock keeps others from their turn for good.
    return sum(label_forecasts(database, ticker, deadline) for ticker in sample(tickers, len(tickers)))


def label_forecasts(database: Database, ticker: str, deadline: float = math.inf) -> int:
    """Give forecasts of a stock the closes of those of their days that have come. Returns how many days got theirs.

    Some at a time, and nothing is computed while others wait to write. What someone told is left as it is.
    """
    labelled = 0
    as_of = date.min
    while time.monotonic() < deadline:
        with database.reading() as session:
            next_day = pending_forecasts.next_day(session, ticker, as_of)
            followed = pending_forecasts.closes_since(session, ticker, next_day) if next_day else []
        if next_day is None:
            break
        as_of = next_day
        if followed:
            labelled += _label_day(database, ticker, as_of, followed, deadline)
    return labelled


def count_since(database: Database, model: str, since: datetime) -> int:
    """How many rows of a model, whichever version answered, got a label or another one since then."""
    rows = select(Label.prediction_id, Label.row).join(Prediction, Prediction.id == Label.prediction_id)
    rows = rows.where(Prediction.model == model, Label.at > since).distinct()
    with database.reading() as session:
        return session.execute(select(func.count()).select_from(rows.subquery())).scalar_one()


def _label_day(database: Database, ticker: str, as_of: date, followed: Sequence[float], deadline: float) -> int:
    labelled, place = 0, pending_forecasts.FIRST
    while time.monotonic() < deadline:
        with database.reading() as session:
            forecasts = pending_forecasts.pending(session, ticker, as_of, len(followed), place)
            due = list(pending_forecasts.due_labels(session, forecasts, len(followed)))
        if not forecasts:
            break
        with database.writing() as session:
            kept = _predictions(session, {forecast.prediction_id for forecast in forecasts})
            labelled += _add_new(session.connection(), [one for one in due if one.prediction_id in kept], followed)
            _advance(session.connection(), (ticker, as_of), forecasts, len(followed))
        last = forecasts[-1]
        place = last.next_step, last.prediction_id, last.row
    return labelled


def _add_new(connection: Connection, due: Sequence[DueLabels], followed: Sequence[float]) -> int:
    """Keep closes as labels where there are none yet, in the order of their keys. Returns how many were kept.

    The database itself makes the labels of a forecast's steps out of its last close: to send each takes twice as long.
    """
    if not due:
        return 0
    followed = followed[: max(one.last for one in due)]
    due = sorted(due)
    if connection.dialect.name == "sqlite":
        at = bulk.moments(connection)(time.time())
        statement = _ADD_ROWS.format(", ".join(f"({step}, ?)" for step in range(1, len(followed) + 1)))
        return connection.exec_driver_sql(statement, [(*followed, *one, at) for one in due]).rowcount
    # One row after the other takes this driver much longer, and it does not say how many were new.
    closes = {"followed": list(followed), "at": datetime.now(UTC)}
    return connection.execute(text(_ADD_COLUMNS), _columns(_DUE, due) | closes).rowcount


def _advance(connection: Connection, of: tuple[str, date], forecasts: Iterable[PendingForecast], known: int) -> None:
    """Keep that forecasts of a stock and a day have their closes: all of one record at once.

    These are all that wait for the same step between two rows of the record. One that another process has labelled
    meanwhile waits for a later step by now, or for none.
    """
    runs = []
    for (step, id), some in groupby(forecasts, key=lambda one: (one.next_step, one.prediction_id)):
        first, *others = some
        last = others[-1] if others else first
        runs.append((known + 1 if known < first.record.horizon else None, id, first.row, last.row, step))
    runs.sort(key=itemgetter(1, 2))  # two that label at once then wait for one another and not in a circle
    ticker, as_of = of
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_ADVANCE_ROWS, [(*run, ticker, as_of.isoformat()) for run in runs])
    else:
        connection.execute(text(_ADVANCE_COLUMNS), _columns(_RUN, runs) | {"ticker": ticker, "as_of": as_of})


def _columns(names: Sequence[str], rows: Iterable[tuple[object, ...]]) -> dict[str, object]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _place(index: int, id: str) -> tuple[str, int]:
    if not (read := _ID.fullmatch(id)):
        raise WrongLabelError(f"labels[{index}].id: must be the id that came with an answer, such as {'0' * 32}-0")
    return read[1], int(read[2])


def _read(index: int, evaluator: Evaluator, truth: object) -> list[tuple[int, float]]:
    try:
        return evaluator.read(truth)
    except ValueError as error:
        raise WrongLabelError(f"labels[{index}].truth: {error}") from None


def _predictions(session: Session, ids: Iterable[str], lock: bool = True) -> dict[str, _Known]:
    """Those that are kept. Locked, they can't be forgotten before their labels are written."""
    found: dict[str, _Known] = {}
    for some in _parts(sorted(ids)):
        query = select(Prediction.id, Prediction.model, Prediction.rows).where(
            bulk.is_among(session, Prediction.id, some)
        )
        if lock:
            query = query.with_for_update(read=True, key_share=True)
        for id, model, rows in session.execute(query):
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


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _TOGETHER] for start in range(0, len(items), _TOGETHER))
