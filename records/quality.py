"""How good a model was over a window of time, how long it took, and how far what it was asked had drifted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from records import drift
from records.answers import Period, Recalled, count, recall
from records.database import Database
from records.drift import FEWEST_ROWS, Drift
from records.judging import Answered, Judge, Score
from records.recorder import new_id
from records.tables import Measurement


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
    """How many rows the scores are about: those whose truth is known, again the newest."""
    scores: Sequence[Score]
    confusion: list[list[int]] | None
    """Labelled rows by true class (line) and predicted class (column), of a classifier."""
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
    judge: Judge,
    *,
    version: str,
    reference: Mapping[str, Any],
    held_out: Mapping[str, Any],
    window: timedelta,
    now: datetime,
) -> Quality:
    """Look at what one version of a model answered in a window that ends now."""
    period = Period(judge.model, version, now - window, now)
    with database.reading() as session:
        requests, rows = count(session, period)
        newest = recall(session, judge, period)
        labelled = _labelled(session, judge, period, newest, rows)
    found = drift.watch(judge, reference, newest.answered.rows, newest.answered.outputs)
    return Quality(
        model=judge.model,
        version=version,
        at=now,
        window=window,
        requests=requests,
        rows=rows,
        looked_at=newest.rows,
        damaged=newest.damaged,
        labelled=len(labelled.rows),
        scores=judge.score(labelled),
        confusion=judge.confusion(labelled),
        error_ratio=judge.error_ratio(labelled, held_out),
        inference_mean_s=float(newest.seconds.mean()) if requests else None,
        inference_p95_s=float(np.quantile(newest.seconds, 0.95)) if requests else None,
        drift=found,
        notes=_notes(rows, newest, len(labelled.rows), found),
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


def latest(database: Database, model: str) -> dict[str, Any] | None:
    """The figures that were kept last, if there are any."""
    asked = select(Measurement.figures).where(Measurement.model == model).order_by(Measurement.at.desc()).limit(1)
    with database.reading() as session:
        figures: dict[str, Any] | None = session.execute(asked).scalar()
        return figures


def _labelled(session: Session, judge: Judge, period: Period, newest: Recalled, rows: int) -> Answered:
    """The newest answers of which something is known. The truth comes late: where much is asked, the newest answers of
    all have none yet.
    """
    if newest.rows < rows:
        return recall(session, judge, period, only_labelled=True).labelled()
    return newest.labelled()


def _notes(rows: int, newest: Recalled, labelled: int, found: Sequence[Drift]) -> list[str]:
    if not rows:
        return ["no prediction of this version is kept from this time"]
    notes = []
    if newest.rows < rows:
        notes.append(f"drift and times are those of the newest {newest.rows} rows")
    if newest.damaged:
        notes.append(f"{newest.damaged} rows could not be read and are left out")
    if not labelled:
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
