"""How good a model was over a window of time, how long it took, and how far what it was asked had drifted."""

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
"""What is shown of figures that were kept."""


@dataclass(frozen=True)
class Quality:
    """The figures of one model and one window. What nobody can say is None."""

    model: str
    version: str
    at: datetime
    window: timedelta
    requests: int
    rows: int
    """How many rows were asked in the window."""
    looked_at: int
    """How many of them, the newest, the figures are about."""
    damaged: int
    """How many of those could not be read."""
    labelled: int
    """How many rows the scores are about: those whose truth is known, and of these the newest."""
    scores: Sequence[Score]
    confusion: list[list[int]] | None
    """NewestLabelled rows by true class (line) and predicted class (column), of a classifier."""
    error_ratio: float | None
    """The error as a multiple of the one on held-out rows."""
    inference_mean_s: float | None
    inference_p95_s: float | None
    drift: Sequence[Drift]
    notes: Sequence[str]
    """What the figures can't say, and why."""

    @property
    def alarms(self) -> list[str]:
        """What has drifted."""
        return [f"{one.kind}: {one.feature}" for one in self.drift if one.alarm]

    def as_dict(self) -> dict[str, Any]:
        """The same, of values that JSON has."""
        figures = vars(self) | {
            "at": self.at.isoformat(),
            "window_s": self.window.total_seconds(),
            "scores": [score._asdict() for score in self.scores],
            "drift": [vars(one) for one in self.drift],
            "alarms": self.alarms,
        }
        del figures["window"]
        plain: dict[str, Any] = _plain(figures)
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
    """Look at what one version of a model answered in a window that ends now."""
    period = Period(evaluator.model, version, now - window, now)
    with database.reading() as session:
        requests, rows = count(session, period)
        recent = newest(session, evaluator, period)
        judged = labelled(session, evaluator, period)
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
        labelled=len(judged.answered.rows),
        scores=evaluator.score(judged.answered),
        confusion=evaluator.confusion(judged.answered),
        error_ratio=evaluator.error_ratio(judged.answered, held_out),
        inference_mean_s=float(recent.seconds.mean()) if len(recent.seconds) else None,
        inference_p95_s=float(np.quantile(recent.seconds, 0.95)) if len(recent.seconds) else None,
        drift=found,
        notes=_notes(rows, recent, judged, found),
    )


def save(database: Database, quality: Quality) -> None:
    """Keep the figures, so that one can look back."""
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
    """What the figures were that were kept, the newest first: as many as are asked for, if there are so many."""
    asked = select(Measurement.figures).where(Measurement.model == model)
    asked = asked.order_by(Measurement.at.desc(), Measurement.id.desc()).limit(most)
    with database.reading() as session:
        return [{name: figures[name] for name in _HISTORY} for figures in session.scalars(asked)]


def _notes(rows: int, recent: StoredPredictions, judged: NewestLabelled, found: Sequence[Drift]) -> list[str]:
    if not rows:
        return ["no prediction of this version is kept from this time"]
    notes = []
    if recent.rows < rows:
        notes.append(f"drift and times are those of the newest {recent.rows} rows")
    if recent.damaged:
        notes.append(f"{recent.damaged} rows could not be read and are left out")
    if judged.older:
        notes.append(f"scores are those of the newest {len(judged.answered.rows)} labelled rows")
    if not len(judged.answered.rows):
        notes.append("no label is known yet: nobody can say how right the answers were")
    if min((one.rows for one in found), default=0) < FEWEST_ROWS:
        notes.append(f"drift is told from {FEWEST_ROWS} different rows on")
    return notes


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not isfinite(value):
            return None
        case _:
            return value
