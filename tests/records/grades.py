"""A model for tests that grades rows of two features, what it was asked, and what turned out to be true."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from records import labels, quality
from records.bundles import new_id
from records.database import Database, insert_into
from records.judging import Judge, Regressor
from records.path_judge import Paths
from records.quality import Quality
from records.reference import describe
from records.tables import Prediction

GRADES = Regressor("grades", ("sweet", "sour"), target="grade", low=0, high=10)
PATHS = Paths("paths", window=5, horizon=2)
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SPREAD = np.linspace(0, 1, 1000)
REFERENCE: dict[str, Any] = {
    "features": {"sweet": describe(SPREAD), "sour": describe(SPREAD)},
    "predictions": {"grade": describe(SPREAD * 10)},
}


def ask(
    database: Database,
    asked: npt.ArrayLike,
    graded: npt.ArrayLike,
    at: datetime = NOW - timedelta(hours=1),
    version: str = "v1",
    seconds: float = 0.002,
    **more: Any,
) -> str:
    """Record a request with an answer, each grade within an interval of two points."""
    inputs, said = np.atleast_2d(np.asarray(asked, "<f4")), np.asarray(graded, "<f4")
    outputs = np.column_stack([said, said - 1, said + 1]).astype("<f4")
    values = {
        "id": new_id(),
        "model": "grades",
        "version": version,
        "at": at,
        "request_id": "",
        "seconds": seconds,
        "asked": {"seconds": [seconds]},
        "rows": len(inputs),
        "inputs": inputs.tobytes(),
        "outputs": outputs.tobytes(),
        **more,
    }
    with database.writing() as session:
        session.execute(insert_into(session, Prediction), [values])
    return str(values["id"])


def label(database: Database, *given: tuple[str, object], judge: Judge = GRADES) -> None:
    with database.writing() as session:
        labels.add(session, {judge.model: judge}, given)


def measure(database: Database, window: timedelta = DAY, judge: Judge = GRADES) -> Quality:
    return quality.measure(
        database,
        judge,
        version="v1",
        reference=REFERENCE if judge is GRADES else {"features": {}, "predictions": {}},
        held_out={"mae": 0.5, "days": [{"mae_ratio": 0.5}] * 2},
        window=window,
        now=NOW,
    )


def scores(measured: Quality) -> dict[tuple[str, str], float | None]:
    return {(score, part): value for score, part, value in measured.scores}


def spread(size: int, low: float = 0, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(low, 1, size=(size, 2))


def ask_often(database: Database, sizes: Sequence[int]) -> list[str]:
    """Requests, the oldest first, that are answered with the number of the request."""
    begun = NOW - timedelta(hours=1)
    return [
        ask(database, spread(size, seed=number), np.full(size, number), at=begun + timedelta(seconds=number))
        for number, size in enumerate(sizes)
    ]
