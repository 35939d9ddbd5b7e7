"""Answers as they were recorded, with what turned out to be true: read back for judging, within bounds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVarTuple

import numpy as np
from sqlalchemy import ColumnElement, CursorResult, Select, exists, func, select
from sqlalchemy.orm import Session

from records.judging import Answered, Doubles, Floats, Judge
from records.tables import Label, Prediction

MOST_ROWS = 20_000
"""More rows say no more, and cost time."""

Columns = TypeVarTuple("Columns")

_TOGETHER = 500
_NUMBER = np.dtype("<f4")


@dataclass(frozen=True)
class Period:
    """Answers of one version of a model, from one moment to another."""

    model: str
    version: str
    since: datetime
    until: datetime

    def conditions(self) -> list[ColumnElement[bool]]:
        return [
            Prediction.model == self.model,
            Prediction.version == self.version,
            Prediction.at >= self.since,
            Prediction.at <= self.until,
        ]


@dataclass(frozen=True)
class Recalled:
    """Answers that were read back, the newest first."""

    answered: Answered
    seconds: Doubles
    """How long each request had to wait for the model."""
    damaged: int
    """Rows that can't be read: their record has the wrong length, or they hold what is no number."""

    @property
    def rows(self) -> int:
        """How many rows were looked at."""
        return len(self.answered.rows) + self.damaged

    def labelled(self) -> Answered:
        return self.answered.at(np.flatnonzero(self.answered.known.any(axis=1)))


class _Place(NamedTuple):
    """Where a request's rows lie among all that were read."""

    first: int
    rows: int


def count(session: Session, period: Period) -> tuple[int, int]:
    """How many requests there were, and how many rows."""
    asked = select(func.count(), func.coalesce(func.sum(Prediction.rows), 0)).where(*period.conditions())
    requests, rows = session.execute(asked).one()
    return int(requests), int(rows)


def recall(session: Session, judge: Judge, period: Period, only_labelled: bool = False) -> Recalled:
    """The newest answers of a period; of those of which something is known, if they alone are asked for."""
    asked = select(Prediction.id, Prediction.rows, Prediction.seconds, Prediction.inputs, Prediction.outputs)
    asked = asked.where(*period.conditions()).order_by(Prediction.at.desc(), Prediction.id.desc()).limit(MOST_ROWS)
    if only_labelled:
        asked = asked.where(exists().where(Label.prediction_id == Prediction.id))
    inputs, outputs = _Blobs(judge.width), _Blobs(judge.outputs)
    places: dict[str, _Place] = {}
    seconds: list[float] = []
    total = damaged = 0
    with _each(session, asked) as found:
        for id, rows, took, asked_for, said in found:
            seconds.append(took)
            if not inputs.fits(asked_for, rows) or not outputs.fits(said, rows):
                damaged += rows
                continue
            taken = min(rows, MOST_ROWS - total)
            inputs.add(asked_for, taken)
            outputs.add(said, taken)
            places[id] = _Place(total, taken)
            total += taken
            if total == MOST_ROWS:
                break
    truths = _truths(session, judge, period, places, total)
    whole, broken = _without_broken(Answered(inputs.array(), outputs.array(), truths))
    return Recalled(whole, np.array(seconds), damaged + broken)


class _Blobs:
    """Numbers of many records, as one array."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._parts: list[bytes] = []

    def fits(self, blob: bytes, rows: int) -> bool:
        return rows > 0 and len(blob) == rows * self._width * _NUMBER.itemsize

    def add(self, blob: bytes, rows: int) -> None:
        self._parts.append(blob[: rows * self._width * _NUMBER.itemsize])

    def array(self) -> Floats:
        numbers: Any = np.frombuffer(b"".join(self._parts), dtype=_NUMBER)
        return np.asarray(numbers.reshape(-1, self._width), dtype=np.float32)


def _truths(session: Session, judge: Judge, period: Period, places: dict[str, _Place], total: int) -> Doubles:
    """What is known, in the order of the rows."""
    truths = np.full((total, judge.steps), np.nan)
    if not places:
        return truths
    oldest = select(Prediction.at).where(Prediction.id == next(reversed(places))).scalar_subquery()
    asked = (
        select(Label.prediction_id, Label.row, Label.step, Label.value)
        .join(Prediction, Prediction.id == Label.prediction_id)
        .where(*period.conditions(), Prediction.at >= oldest)
    )
    with _each(session, asked) as found:
        for id, row, step, value in found:
            place, step = places.get(id), step - judge.first_step
            if place is not None and row < place.rows and 0 <= step < judge.steps:
                truths[place.first + row, step] = value
    return truths


def _each(session: Session, asked: Select[*Columns]) -> CursorResult[*Columns]:
    """What is found, some at a time, and past the part of SQLAlchemy that makes objects: it takes half of the time."""
    return session.connection().execute(asked.execution_options(yield_per=_TOGETHER))


def _without_broken(answered: Answered) -> tuple[Answered, int]:
    whole = np.isfinite(answered.rows).all(axis=1) & np.isfinite(answered.outputs).all(axis=1)
    places = np.flatnonzero(whole)
    broken = len(answered.rows) - len(places)
    return (answered.at(places), broken) if broken else (answered, 0)
