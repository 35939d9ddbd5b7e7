"""A model for tests that grades rows of two features, what it was asked, and what turned out to be true."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from marmita.records.database.database import Database, insert_into
from marmita.records.database.tables import Prediction
from marmita.records.predictions import labels
from marmita.records.predictions.bundles import new_id
from marmita.records.quality import quality
from marmita.records.quality.evaluators import Evaluator, ValueEvaluator
from marmita.records.quality.path_evaluator import PathEvaluator
from marmita.records.quality.quality import Quality
from marmita.records.quality.reference import describe

GRADES = ValueEvaluator("grades", ("sweet", "sour"), target="grade", low=0, high=10)
PATHS = PathEvaluator("paths", window=5, horizon=2)
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


def label(database: Database, *given: tuple[str, object], evaluator: Evaluator = GRADES) -> None:
    with database.writing() as session:
        labels.add(session, {evaluator.model: evaluator}, given)


def measure(database: Database, window: timedelta = DAY, evaluator: Evaluator = GRADES) -> Quality:
    return quality.measure(
        database,
        evaluator,
        version="v1",
        reference=REFERENCE if evaluator is GRADES else {"features": {}, "predictions": {}},
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
