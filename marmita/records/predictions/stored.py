"""Stored predictions and their labels, read for evaluation within limits."""

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
"""The maximum number of rows to read. More rows cost time without adding precision."""
MOST_READ = 1_000_000
"""The maximum number of rows in the bundles of labelled rows, as each bundle is read in full."""

Columns = TypeVarTuple("Columns")

_BATCH_RECORDS = 500


@dataclass(frozen=True)
class Period:
    """The predictions of one version of a model in a span of time."""

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
    """The newest predictions of a period, newest first."""

    inputs: Floats
    outputs: Floats
    seconds: Doubles
    """The inference time of each request."""
    damaged: int
    """The number of unreadable rows: the record has the wrong length, or a value is not finite."""

    @property
    def rows(self) -> int:
        """Return the number of rows, including the damaged ones."""
        return len(self.inputs) + self.damaged


class NewestLabelled(NamedTuple):
    """The newest labelled answers, newest first."""

    answered: LabelledAnswers
    older: bool
    """Whether older labelled rows were left out."""


class _BundleRows(NamedTuple):
    """The rows to read from one bundle."""

    rows: Sequence[int]
    size: int
    """The number of rows in the bundle."""
    first: int
    """The place of its first row in the result."""


def count(session: Session, period: Period) -> tuple[int, int]:
    """Count the requests and the rows of a period."""
    requests, rows = (func.coalesce(func.sum(column), 0) for column in (Prediction.requests, Prediction.rows))
    found = session.execute(select(requests, rows).where(*period.conditions())).one()
    return int(found[0]), int(found[1])


def newest(session: Session, evaluator: Evaluator, period: Period) -> StoredPredictions:
    """Return the newest predictions of a period, labelled or not."""
    asked = select(Prediction.id, Prediction.rows).where(*period.conditions())
    asked = asked.order_by(Prediction.at.desc(), Prediction.id.desc()).limit(MOST_ROWS)
    wanted: dict[str, _BundleRows] = {}
    total = 0
    with _stream(session, asked) as found:
        for id, size in found:
            wanted[id] = _BundleRows(range(min(size, MOST_ROWS - total)), size, total)
            total += len(wanted[id].rows)
            if total == MOST_ROWS:
                break
    inputs, outputs = _read(session, evaluator, wanted, total)
    readable = _readable(inputs, outputs)
    return StoredPredictions(inputs[readable], outputs[readable], _seconds(session, wanted), total - len(readable))


def labelled(session: Session, evaluator: Evaluator, period: Period) -> NewestLabelled:
    """Return the newest labelled answers. The newest predictions have no labels yet, as truths arrive late."""
    places: dict[tuple[str, int], int] = {}
    sizes: dict[str, int] = {}
    truths = np.full((MOST_ROWS, evaluator.steps), np.nan)
    read, older = 0, False
    with _stream(session, _labels(evaluator, period)) as found:
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
    readable = _readable(inputs, outputs)
    return NewestLabelled(LabelledAnswers(inputs[readable], outputs[readable], truths[: len(places)][readable]), older)


def _labels(evaluator: Evaluator, period: Period) -> Select[str, int, int, float, int]:
    """Select labels with the sizes of their bundles, newest bundle first.

    The limit allows one label more than `MOST_ROWS` rows have, to show that there are older ones.
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


def _seconds(session: Session, wanted: Mapping[str, _BundleRows]) -> Doubles:
    """Return the inference times of the requests."""
    took: list[float] = []
    for ids in _portions(wanted):
        for asked in session.scalars(select(Prediction.asked).where(Prediction.id.in_(ids))):
            took += asked.get("seconds", [])
    return np.array(took)


def _by_bundle(places: Mapping[tuple[str, int], int], sizes: Mapping[str, int]) -> dict[str, _BundleRows]:
    """Group rows by bundle. Rows of one bundle are consecutive."""
    rows: dict[str, list[int]] = {id: [] for id in sizes}
    for id, row in places:
        rows[id].append(row)
    return {id: _BundleRows(some, sizes[id], places[id, some[0]]) for id, some in rows.items()}


def _read(
    session: Session, evaluator: Evaluator, wanted: Mapping[str, _BundleRows], total: int
) -> tuple[Floats, Floats]:
    """Return the inputs and outputs of the rows. An unreadable row is NaN."""
    inputs = np.full((total, evaluator.width), np.nan, dtype=np.float32)
    outputs = np.full((total, evaluator.outputs), np.nan, dtype=np.float32)
    for ids in _portions(wanted):
        asked = select(Prediction.id, Prediction.inputs, Prediction.outputs).where(Prediction.id.in_(ids))
        input_blobs, output_blobs = list[bytes](), list[bytes]()
        from_rows, to_rows, rows_before = list[int](), list[int](), 0
        for id, input_bytes, output_bytes in session.connection().execute(asked).all():
            rows, size, first = wanted[id]
            if not _fits(input_bytes, size, evaluator.width) or not _fits(output_bytes, size, evaluator.outputs):
                continue
            input_blobs.append(input_bytes)
            output_blobs.append(output_bytes)
            from_rows += [rows_before + row for row in rows]
            to_rows += range(first, first + len(rows))
            rows_before += size
        inputs[to_rows] = _numbers(input_blobs, evaluator.width)[from_rows]
        outputs[to_rows] = _numbers(output_blobs, evaluator.outputs)[from_rows]
    return inputs, outputs


def _portions(wanted: Mapping[str, _BundleRows]) -> Iterator[list[str]]:
    return bulk.portions({id: bundle.size for id, bundle in wanted.items()}, MOST_ROWS, _BATCH_RECORDS)


def _fits(blob: bytes, rows: int, width: int) -> bool:
    return rows > 0 and len(blob) == rows * width * NUMBERS.itemsize


def _numbers(blobs: Sequence[bytes], width: int) -> Floats:
    numbers: Floats = np.frombuffer(b"".join(blobs), dtype=NUMBERS).reshape(-1, width)
    return numbers


def _readable(inputs: Floats, outputs: Floats) -> Places:
    return np.flatnonzero(np.isfinite(inputs).all(axis=1) & np.isfinite(outputs).all(axis=1))


def _stream(session: Session, asked: Select[*Columns]) -> CursorResult[*Columns]:
    """Stream the rows of a query. Bypass SQLAlchemy's ORM, which takes half of the time."""
    return session.connection().execute(asked.execution_options(yield_per=_BATCH_RECORDS))
