"""Labelled rows of all versions of a model, from which its next version can learn."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from marmita.records.database import bulk
from marmita.records.database.tables import Label, Prediction
from marmita.records.predictions.bundles import NUMBERS
from marmita.records.quality.evaluators import Doubles, Evaluator, Floats, keys

MOST_ROWS = 20_000
"""The maximum number of rows. The newest ones are taken."""

_BATCH_RECORDS = 500
_BATCH_ROWS = 20_000


class LabelledRows(NamedTuple):
    """Distinct rows with their truths, in the order of their labels."""

    rows: Floats
    truths: Doubles
    repeated: int
    """The number of rows left out because an equal row was labelled later."""
    damaged: int
    """The number of unreadable rows left out: the record has the wrong length, or a value is not finite."""
    older: bool
    """Whether older labelled rows were left out."""


class _FoundLabel(NamedTuple):
    """One label with the location of its row: the columns of the query in `newest`."""

    prediction_id: str
    row: int
    value: float
    at: datetime
    size: int
    """The number of rows in the record."""


def newest(session: Session, evaluator: Evaluator, most: int = MOST_ROWS) -> LabelledRows:
    """Return the labelled rows of the newest requests. Of several labels for equal rows, the last counts."""
    asked = (
        select(Label.prediction_id, Label.row, Label.value, Label.at, Prediction.rows)
        .join(Prediction, Prediction.id == Label.prediction_id)
        .where(Prediction.model == evaluator.model, Label.step == evaluator.first_step)
        .order_by(Prediction.at.desc(), Prediction.id.desc(), Label.row)
        .limit(most + 1)
    )
    found = [_FoundLabel(*columns) for columns in session.execute(asked)]
    labels = sorted(found[:most], key=lambda one: (one.at, one.prediction_id, one.row))
    rows = _read(session, evaluator, labels)
    readable = np.flatnonzero(np.isfinite(rows).all(axis=1)).tolist()
    last = dict(zip(keys(rows[readable]), readable, strict=True))
    places = sorted(last.values())
    return LabelledRows(
        rows=rows[places],
        truths=np.array([labels[place].value for place in places], dtype=np.float64),
        repeated=len(readable) - len(places),
        damaged=len(labels) - len(readable),
        older=len(found) > most,
    )


def _read(session: Session, evaluator: Evaluator, labels: Sequence[_FoundLabel]) -> Floats:
    """Return the row of each label. An unreadable row is NaN."""
    rows = np.full((len(labels), evaluator.width), np.nan, dtype=np.float32)
    by_record = dict[str, list[int]]()
    for place, one in enumerate(labels):
        by_record.setdefault(one.prediction_id, []).append(place)
    sizes = {id: labels[places[0]].size for id, places in by_record.items()}
    for ids in bulk.portions(sizes, _BATCH_ROWS, _BATCH_RECORDS):
        asked = select(Prediction.id, Prediction.inputs).where(Prediction.id.in_(ids))
        for id, inputs in session.execute(asked):
            if len(inputs) != sizes[id] * evaluator.width * NUMBERS.itemsize:
                continue
            record = np.frombuffer(inputs, dtype=NUMBERS).reshape(-1, evaluator.width)
            for place in by_record[id]:
                if labels[place].row < len(record):
                    rows[place] = record[labels[place].row]
    return rows + np.float32(0)  # rows are compared by bytes, which differ for -0 and 0
