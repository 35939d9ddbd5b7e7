"""Forgetting: predictions and measurements that are older than anyone wants to keep."""

import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select

from records.database import Database
from records.tables import Measurement, Prediction

_TOGETHER = 500
"""So many are deleted in one transaction: who wants to write waits for no more than these."""
_PAUSE_S = 0.05


def forget(database: Database, before: datetime, pause: Callable[[float], None] = time.sleep) -> int:
    """Delete what is older. Labels go with their predictions. Returns how many requests were forgotten.

    Who forgets at the same time takes other ones.
    """
    old_measurements = (
        select(Measurement.id).where(Measurement.at < before).limit(_TOGETHER).with_for_update(skip_locked=True)
    )
    while _delete(database, Measurement.id.in_(old_measurements), Measurement):
        pause(_PAUSE_S)
    old_predictions = (
        select(Prediction.id).where(Prediction.at < before).limit(_TOGETHER).with_for_update(skip_locked=True)
    )
    forgotten = 0
    while count := _delete(database, Prediction.id.in_(old_predictions), Prediction):
        forgotten += count
        pause(_PAUSE_S)
    return forgotten


def _delete(database: Database, which: ColumnElement[bool], table: type[Measurement] | type[Prediction]) -> int:
    with database.writing() as session:
        result = session.connection().execute(delete(table).where(which))
        return int(result.rowcount)
