"""Retention: deletes old predictions, measurements, trainings and decisions."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, tuple_
from sqlalchemy.orm import Session

from marmita.records.database.database import Database
from marmita.records.database.tables import Decision, Forecast, Label, Measurement, Prediction, Training

DECISIONS_FOR = timedelta(days=365)
"""The minimum retention of decisions. The backoff of retraining depends on the unsuccessful ones since the champion was
made, which may be long ago. Decisions older than a year no longer affect it.
"""
_BATCH_REQUESTS = 500
"""The maximum number of requests per transaction, which limits the wait of other writers."""
_BATCH_ROWS = 2_000
"""The maximum number of rows per transaction. Each may have ten labels."""
_BATCH_DEPENDENTS = 10_000
"""The maximum number of labels or forecasts per transaction, for a request with more rows."""
_INTERVAL_S = 0.05


def delete_old(database: Database, before: datetime, pause: Callable[[float], None] = time.sleep) -> int:
    """Delete old records, and return the number of deleted requests.

    Decisions stay for at least `DECISIONS_FOR`. Labels are deleted with their predictions. Concurrent calls skip each
    other's rows.
    """
    long_before = min(before, datetime.now(UTC) - DECISIONS_FOR)
    kinds = ((_delete_measurements, before), (_delete_trainings, before), (_delete_decisions, long_before))
    for delete_some, older in kinds:
        while _delete_portion(database, older, delete_some) is not None:
            pause(_INTERVAL_S)
    deleted = 0
    while (count := _delete_portion(database, before, _delete_predictions)) is not None:
        deleted += count
        pause(_INTERVAL_S)
    return deleted


def _delete_portion(
    database: Database, before: datetime, delete_some: Callable[[Session, datetime], int | None]
) -> int | None:
    with database.writing() as session:
        return delete_some(session, before)


def _delete_measurements(session: Session, before: datetime) -> int | None:
    return _delete_rows(session, Measurement, Measurement.at < before)


def _delete_decisions(session: Session, before: datetime) -> int | None:
    """Delete old closed decisions. An open one is still in use."""
    return _delete_rows(session, Decision, Decision.ended_at < before)


def _delete_trainings(session: Session, before: datetime) -> int | None:
    """Delete old trainings that have ended."""
    return _delete_rows(session, Training, Training.ended_at < before)


def _delete_rows(
    session: Session, table: type[Measurement] | type[Decision] | type[Training], old: ColumnElement[bool]
) -> int | None:
    """Return the number of deleted rows, or None if none are left."""
    ids = session.scalars(select(table.id).where(old).limit(_BATCH_REQUESTS).with_for_update(skip_locked=True)).all()
    session.execute(delete(table).where(table.id.in_(ids)))
    return len(ids) or None


def _delete_predictions(session: Session, before: datetime) -> int | None:
    """Return the number of deleted requests, or None if none are left.

    The number is 0 while the labels and forecasts of a large request are deleted in steps.
    """
    old = (
        select(Prediction.id, Prediction.rows, Prediction.requests)
        .where(Prediction.at < before)
        .order_by(Prediction.at)
        .limit(_BATCH_REQUESTS)
        .with_for_update(skip_locked=True)
    )
    found = {id: (rows, requests) for id, rows, requests in session.execute(old)}
    if not found:
        return None
    first, (rows, _) = next(iter(found.items()))
    if rows > _BATCH_ROWS and _delete_dependents(session, first):
        return 0
    ids = list(_within_row_limit(found))
    session.execute(delete(Prediction).where(Prediction.id.in_(ids)))
    return sum(found[id][1] for id in ids)


def _within_row_limit(found: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Yield requests within the limit of rows, but at least one."""
    total = 0
    for place, (id, (rows, _)) in enumerate(found.items()):
        total += rows
        if place and total > _BATCH_ROWS:
            return
        yield id


def _delete_dependents(session: Session, prediction: str) -> bool:
    """Delete some labels or forecasts of a request. Return False if none are left."""
    some = select(Label.row, Label.step).where(Label.prediction_id == prediction).limit(_BATCH_DEPENDENTS)
    labels = delete(Label).where(Label.prediction_id == prediction, tuple_(Label.row, Label.step).in_(some))
    if session.connection().execute(labels).rowcount:
        return True
    rows = select(Forecast.row).where(Forecast.prediction_id == prediction).limit(_BATCH_DEPENDENTS)
    forecasts = delete(Forecast).where(Forecast.prediction_id == prediction, Forecast.row.in_(rows))
    return bool(session.connection().execute(forecasts).rowcount)
