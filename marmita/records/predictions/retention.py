"""Forgetting: predictions, measurements and decisions that are older than anyone wants to keep."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, tuple_
from sqlalchemy.orm import Session

from marmita.records.database.database import Database
from marmita.records.database.tables import Decision, Forecast, Label, Measurement, Prediction

DECISIONS_FOR = timedelta(days=365)
"""So long decisions are kept at least. How long the next retraining waits goes by all those that were of no use since
the champion was made, which may be long ago; and after a year no wait is shorter for what came before.
"""
_TOGETHER = 500
"""So many are deleted in one transaction: who wants to write waits for no more than these."""
_ROWS_TOGETHER = 2_000
"""And no more rows than these, each of which may have ten labels."""
_BELONGINGS_TOGETHER = 10_000
"""Of what belongs to a request that alone has more rows, so much goes in one transaction."""
_PAUSE_S = 0.05


def delete_old(database: Database, before: datetime, pause: Callable[[float], None] = time.sleep) -> int:
    """Delete what is older, and decisions if they are a year old too. Labels go with their predictions. Returns how
    many requests were deleted.

    Who forgets at the same time takes other ones.
    """
    long_before = min(before, datetime.now(UTC) - DECISIONS_FOR)
    for delete_some, older in ((_delete_measurements, before), (_delete_decisions, long_before)):
        while _portion(database, older, delete_some) is not None:
            pause(_PAUSE_S)
    deleted = 0
    while (count := _portion(database, before, _delete_predictions)) is not None:
        deleted += count
        pause(_PAUSE_S)
    return deleted


def _portion(
    database: Database, before: datetime, delete_some: Callable[[Session, datetime], int | None]
) -> int | None:
    with database.writing() as session:
        return delete_some(session, before)


def _delete_measurements(session: Session, before: datetime) -> int | None:
    return _delete_rows(session, Measurement, Measurement.at < before)


def _delete_decisions(session: Session, before: datetime) -> int | None:
    """One that is open is somebody's: it goes when it is closed."""
    return _delete_rows(session, Decision, Decision.ended_at < before)


def _delete_rows(session: Session, table: type[Measurement] | type[Decision], old: ColumnElement[bool]) -> int | None:
    """How many went; None if none is left."""
    ids = session.scalars(select(table.id).where(old).limit(_TOGETHER).with_for_update(skip_locked=True)).all()
    session.execute(delete(table).where(table.id.in_(ids)))
    return len(ids) or None


def _delete_predictions(session: Session, before: datetime) -> int | None:
    """How many requests went, which may be none while there is one so large that it goes bit by bit; None if no more
    are left.
    """
    old = (
        select(Prediction.id, Prediction.rows, Prediction.requests)
        .where(Prediction.at < before)
        .order_by(Prediction.at)
        .limit(_TOGETHER)
        .with_for_update(skip_locked=True)
    )
    found = {id: (rows, requests) for id, rows, requests in session.execute(old)}
    if not found:
        return None
    first, (rows, _) = next(iter(found.items()))
    if rows > _ROWS_TOGETHER and _delete_belongings(session, first):
        return 0
    ids = list(_small_enough(found))
    session.execute(delete(Prediction).where(Prediction.id.in_(ids)))
    return sum(found[id][1] for id in ids)


def _small_enough(found: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """As many of them, but at least one, as have few enough rows together."""
    total = 0
    for place, (id, (rows, _)) in enumerate(found.items()):
        total += rows
        if place and total > _ROWS_TOGETHER:
            return
        yield id


def _delete_belongings(session: Session, prediction: str) -> bool:
    """Delete some of what belongs to a request. False if there was nothing any more."""
    some = select(Label.row, Label.step).where(Label.prediction_id == prediction).limit(_BELONGINGS_TOGETHER)
    labels = delete(Label).where(Label.prediction_id == prediction, tuple_(Label.row, Label.step).in_(some))
    if session.connection().execute(labels).rowcount:
        return True
    rows = select(Forecast.row).where(Forecast.prediction_id == prediction).limit(_BELONGINGS_TOGETHER)
    forecasts = delete(Forecast).where(Forecast.prediction_id == prediction, Forecast.row.in_(rows))
    return bool(session.connection().execute(forecasts).rowcount)
