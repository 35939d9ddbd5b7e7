"""Answers as they were recorded, with what turned out to be true: read back for judging, within bounds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVarTuple

import numpy as np
from sqlalchemy import ColumnElement, CursorResult, Select, func, select
from sqlalchemy.orm import Session

from marmita.records.database import bulk
from marmita.records.database.tables import Label, Prediction
from marmita.records.predictions.bundles import NUMBERS
from marmita.records.quality.evaluators import Doubles, Evaluator, Floats, LabelledAnswers, Places

MOST_ROWS = 20_000
"""More rows say no more, and cost time."""
MOST_READ = 1_000_000
"""So many rows may the bundles have whose labelled rows are taken: each of them is read whole."""

Columns = TypeVarTuple("Columns")

_TOGETHER = 500


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


class StoredPredictions(NamedTuple):
    """The newest answers of a period, the newest first."""

    inputs: Floats
    outputs: Floats
    seconds: Doubles
    """How long each request had to wait for the model."""
    damaged: int
    """Rows that can't be read: their record has the wrong length, or they hold what is no number."""

    @property
    def rows(self) -> int:
        """How many rows were looked at."""
        return len(self.inputs) + self.damaged


class NewestLabelled(NamedTuple):
    """The newest answers of which something is known, the newest first."""

    answered: LabelledAnswers
    older: bool
    """Whether there are more of them, that nobody looked at."""


class _Wanted(NamedTuple):
    """Rows of one bundle that are to be read."""

    rows: Sequence[int]
    size: int
    """How many rows the bundle has in all."""
    first: int
    """Where its rows begin among all that are wanted."""


def count(session: Session, period: Period) -> tuple[int, int]:
    """How many requests there were, and how many rows."""
    requests, rows = (func.coalesce(func.sum(column), 0) for column in (Prediction.requests, Prediction.rows))
    found = session.execute(select(requests, rows).where(*period.conditions())).one()
    return int(found[0]), int(found[1])


def newest(session: Session, evaluator: Evaluator, period: Period) -> StoredPredictions:
    """The newest answers of a period, whether anything is known of them or not."""
    asked = select(Prediction.id, Prediction.rows).where(*period.conditions())
    asked = asked.order_by(Prediction.at.desc(), Prediction.id.desc()).limit(MOST_ROWS)
    wanted: dict[str, _Wanted] = {}
    total = 0
    with _each(session, asked) as found:
        for id, size in found:
            wanted[id] = _Wanted(range(min(size, MOST_ROWS - total)), size, total)
            total += len(wanted[id].rows)
            if total == MOST_ROWS:
                break
    inputs, outputs = _read(session, evaluator, wanted, total)
    whole = _whole(inputs, outputs)
    return StoredPredictions(inputs[whole], outputs[whole], _seconds(session, wanted), total - len(whole))


def labelled(session: Session, evaluator: Evaluator, period: Period) -> NewestLabelled:
    """The newest answers of which something is known: the truth comes late, and those of now have none yet."""
    places: dict[tuple[str, int], int] = {}
    sizes: dict[str, int] = {}
    truths = np.full((MOST_ROWS, evaluator.steps), np.nan)
    read, older = 0, False
    with _each(session, _labels(evaluator, period)) as found:
        for id, row, step, value, size in found:
            if (id, row) not in places:
                too_much = id not in sizes and bool(sizes) and read + size > MOST_READ
                if older := too_much or len(places) == MOST_ROWS:
                    break
                read += 0 if id in sizes else size
                places[id, row] = len(places)
                sizes[id] = size
            truths[places[id, row], step - evaluator.first_step] = value
    inputs, outputs = _read(session, evaluator, _by_bundle(places, sizes), len(places))
    whole = _whole(inputs, outputs)
    return NewestLabelled(LabelledAnswers(inputs[whole], outputs[whole], truths[: len(places)][whole]), older)


def _labels(evaluator: Evaluator, period: Period) -> Select[str, int, int, float, int]:
    """Labels with the sizes of their bundles, those of the newest bundle first, and enough for the rows that count
    and for one that does not.
    """
    return (
        select(Label.prediction_id, Label.row, Label.step, Label.value, Prediction.rows)
        .join(Prediction, Prediction.id == Label.prediction_id)
        .where(*period.conditions())
        .where(Label.row < Prediction.rows)
        .where(Label.step >= evaluator.first_step, Label.step < evaluator.first_step + evaluator.steps)
        .order_by(Prediction.at.desc(), Prediction.id.desc(), Label.row)
        .limit(MOST_ROWS * evaluator.steps + 1)
    )


def _seconds(session: Session, wanted: Mapping[str, _Wanted]) -> Doubles:
    """How long the requests took."""
    took: list[float] = []
    for ids in _portions(wanted):
        for asked in session.scalars(select(Prediction.asked).where(Prediction.id.in_(ids))):
            took += asked.get("seconds", [])
    return np.array(took)


def _by_bundle(places: Mapping[tuple[str, int], int], sizes: Mapping[str, int]) -> dict[str, _Wanted]:
    """Rows that follow one another where they belong to one bundle."""
    rows: dict[str, list[int]] = {id: [] for id in sizes}
    for id, row in places:
        rows[id].append(row)
    return {id: _Wanted(some, sizes[id], places[id, some[0]]) for id, some in rows.items()}


def _read(session: Session, evaluator: Evaluator, wanted: Mapping[str, _Wanted], total: int) -> tuple[Floats, Floats]:
    """What went in and what came out. A row that can't be read is no number."""
    inputs = np.full((total, evaluator.width), np.nan, dtype=np.float32)
    outputs = np.full((total, evaluator.outputs), np.nan, dtype=np.float32)
    for ids in _portions(wanted):
        asked = select(Prediction.id, Prediction.inputs, Prediction.outputs).where(Prediction.id.in_(ids))
        went_in, came_out = list[bytes](), list[bytes]()
        from_rows, to_rows, rows_before = list[int](), list[int](), 0
        for id, asked_for, said in session.connection().execute(asked).all():
            rows, size, first = wanted[id]
            if not _fits(asked_for, size, evaluator.width) or not _fits(said, size, evaluator.outputs):
                continue
            went_in.append(asked_for)
            came_out.append(said)
            from_rows += [rows_before + row for row in rows]
            to_rows += range(first, first + len(rows))
            rows_before += size
        inputs[to_rows] = _numbers(went_in, evaluator.width)[from_rows]
        outputs[to_rows] = _numbers(came_out, evaluator.outputs)[from_rows]
    return inputs, outputs


def _portions(wanted: Mapping[str, _Wanted]) -> Iterator[list[str]]:
    return bulk.portions({id: bundle.size for id, bundle in wanted.items()}, MOST_ROWS, _TOGETHER)


def _fits(blob: bytes, rows: int, width: int) -> bool:
    return rows > 0 and len(blob) == rows * width * NUMBERS.itemsize


def _numbers(blobs: Sequence[bytes], width: int) -> Floats:
    numbers: Floats = np.frombuffer(b"".join(blobs), dtype=NUMBERS).reshape(-1, width)
    return numbers


def _whole(inputs: Floats, outputs: Floats) -> Places:
    return np.flatnonzero(np.isfinite(inputs).all(axis=1) & np.isfinite(outputs).all(axis=1))


def _each(session: Session, asked: Select[*Columns]) -> CursorResult[*Columns]:
    """What is found, some at a time, and past the part of SQLAlchemy that makes objects: it takes half of the time."""
    return session.connection().execute(asked.execution_options(yield_per=_TOGETHER))
