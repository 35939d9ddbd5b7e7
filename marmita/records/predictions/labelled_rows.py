"""Rows whose truth was labels, of all versions of a model: what its next version can learn from."""

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
"""So many rows are taken, those that were asked last."""

_RECORDS_TOGETHER = 500
_ROWS_TOGETHER = 20_000


class LabelledRows(NamedTuple):
    """Distinct rows with what is true of them, in the order in which it was told."""

    rows: Floats
    truths: Doubles
    repeated: int
    """Rows left out because the same was asked and told of again later."""
    damaged: int
    """Rows left out because they can't be read: the record has the wrong length, or holds what is no number."""
    older: bool
    """Whether there are more of them, that nobody looked at."""


class _FoundLabel(NamedTuple):
    """One label, and where its row stands: the columns of the query in `newest`."""

    prediction_id: str
    row: int
    value: float
    at: datetime
    size: int
    """How many rows stand in the record beside this one."""


def newest(session: Session, evaluator: Evaluator, most: int = MOST_ROWS) -> LabelledRows:
    """The rows of the newest requests. Where one row was labelled more than once, what was told last counts."""
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
    whole = np.flatnonzero(np.isfinite(rows).all(axis=1)).tolist()
    last = dict(zip(keys(rows[whole]), whole, strict=True))
    places = sorted(last.values())
    return LabelledRows(
        rows=rows[places],
        truths=np.array([labels[place].value for place in places], dtype=np.float64),
        repeated=len(whole) - len(places),
        damaged=len(labels) - len(whole),
        older=len(found) > most,
    )


def _read(session: Session, evaluator: Evaluator, labels: Sequence[_FoundLabel]) -> Floats:
    """What was asked, label by label. A row that can't be read is no number."""
    rows = np.full((len(labels), evaluator.width), np.nan, dtype=np.float32)
    by_record = dict[str, list[int]]()
    for place, one in enumerate(labels):
        by_record.setdefault(one.prediction_id, []).append(place)
    sizes = {id: labels[places[0]].size for id, places in by_record.items()}
    for ids in bulk.portions(sizes, _ROWS_TOGETHER, _RECORDS_TOGETHER):
        asked = select(Prediction.id, Prediction.inputs).where(Prediction.id.in_(ids))
        for id, inputs in session.execute(asked):
            if len(inputs) != sizes[id] * evaluator.width * NUMBERS.itemsize:
                continue
            record = np.frombuffer(inputs, dtype=NUMBERS).reshape(-1, evaluator.width)
            for place in by_record[id]:
                if labels[place].row < len(record):
                    rows[place] = record[labels[place].row]
    return rows + np.float32(0)  # equal rows are told by their bytes, and minus zero has other ones
