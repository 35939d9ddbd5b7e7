"""Quality of a model over a window of time: scores, inference times and drift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import numpy as np
from sqlalchemy import select

from marmita.records.database.database import Database
from marmita.records.database.tables import Measurement
from marmita.records.predictions.bundles import new_id
from marmita.records.predictions.stored import NewestLabelled, Period, StoredPredictions, count, labelled, newest
from marmita.records.quality import drift
from marmita.records.quality.drift import FEWEST_ROWS, Drift
from marmita.records.quality.evaluators import Evaluator, Score

_HISTORY = ("at", "version", "rows", "labelled", "error_ratio", "alarms")
"""The figures of a stored measurement that the history shows."""


@dataclass(frozen=True)
class Quality:
    """The figures of one model and one window. An unknown figure is None."""

    model: str
    version: str
    at: datetime
    window: timedelta
    requests: int
    rows: int
    """The number of rows in the window."""
    looked_at: int
    """The number of newest rows that drift and times cover."""
    damaged: int
    """The number of those rows that could not be read."""
    labelled: int
    """The number of newest labelled rows, which the scores cover."""
    scores: Sequence[Score]
    confusion: list[list[int]] | None
    """Labelled rows by true class (line) and predicted class (column), of a classifier."""
    error_ratio: float | None
    """The error as a multiple of the error on held-out rows."""
    inference_mean_s: float | None
    inference_p95_s: float | None
    drift: Sequence[Drift]
    notes: Sequence[str]
    """The limits of the figures, with reasons."""

    @property
    def alarms(self) -> list[str]:
        """Return the names of the features and predictions that have drifted."""
        return [f"{one.kind}: {one.feature}" for one in self.drift if one.alarm]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures in JSON values."""
        figures = vars(self) | {
            "at": self.at.isoformat(),
            "window_s": self.window.total_seconds(),
            "scores": [score._asdict() for score in self.scores],
            "drift": [vars(one) for one in self.drift],
            "alarms": self.alarms,
        }
        del figures["window"]
        plain: dict[str, Any] = _to_json(figures)
        return plain


def measure(
    database: Database,
    evaluator: Evaluator,
    *,
    version: str,
    reference: Mapping[str, Any],
    held_out: Mapping[str, Any],
    window: timedelta,
    now: datetime,
) -> Quality:
    """Measure the quality of one version of a model over a window that ends now."""
    period = Period(evaluator.model, version, now - window, now)
    with database.reading() as session:
        requests, rows = count(session, period)
        recent = newest(session, evaluator, period)
        scored = labelled(session, evaluator, period)
    found = drift.watch(evaluator, reference, recent.inputs, recent.outputs)
    return Quality(
        model=evaluator.model,
        version=version,
        at=now,
        window=window,
        requests=requests,
        rows=rows,
        looked_at=recent.rows,
        damaged=recent.damaged,
        labelled=len(scored.answered.rows),
        scores=evaluator.score(scored.answered),
        confusion=evaluator.confusion(scored.answered),
        error_ratio=evaluator.error_ratio(scored.answered, held_out),
        inference_mean_s=float(recent.seconds.mean()) if len(recent.seconds) else None,
        inference_p95_s=float(np.quantile(recent.seconds, 0.95)) if len(recent.seconds) else None,
        drift=found,
        notes=_notes(rows, recent, scored, found),
    )


def save(database: Database, quality: Quality) -> None:
    """Store a measurement for the history."""
    measurement = Measurement(
        id=new_id(),
        model=quality.model,
        version=quality.version,
        at=quality.at,
        window_s=quality.window.total_seconds(),
        figures=quality.as_dict(),
    )
    with database.writing() as session:
        session.add(measurement)


def history(database: Database, model: str, most: int) -> list[dict[str, Any]]:
    """Return the stored measurements of a model, newest first, at most as many as asked for."""
    asked = select(Measurement.figures).where(Measurement.model == model)
    asked = asked.order_by(Measurement.at.desc(), Measurement.id.desc()).limit(most)
    with database.reading() as session:
        return [{name: figures[name] for name in _HISTORY} for figures in session.scalars(asked)]


def _notes(rows: int, recent: StoredPredictions, scored: NewestLabelled, found: Sequence[Drift]) -> list[str]:
    if not rows:
        return ["no prediction of this version is kept from this time"]
    notes = []
    if recent.rows < rows:
        notes.append(f"drift and times are those of the newest {recent.rows} rows")
    if recent.damaged:
        notes.append(f"{recent.damaged} rows could not be read and are left out")
    if scored.older:
        notes.append(f"scores are those of the newest {len(scored.answered.rows)} labelled rows")
    if not len(scored.answered.rows):
        notes.append("no row is labelled yet: the scores are unknown")
    if min((one.rows for one in found), default=0) < FEWEST_ROWS:
        notes.append(f"drift needs at least {FEWEST_ROWS} different rows")
    return notes


def _to_json(value: Any) -> Any:
    match value:
        case dict():
            return {key: _to_json(each) for key, each in value.items()}
        case list() | tuple():
            return [_to_json(each) for each in value]
        case float() if not isfinite(value):
            return None
        case _:
            return value
