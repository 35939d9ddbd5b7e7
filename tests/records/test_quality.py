"""Quality: figures over what was recorded and labelled, bounded, and with damaged records left out."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import select

from records import answers, labels, quality
from records.database import Database, insert_into
from records.judging import Judge, Regressor
from records.path_judge import Paths
from records.quality import Quality
from records.recorder import new_id
from records.reference import describe
from records.tables import Measurement, Prediction

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
    **more: Any,
) -> str:
    """Record a request with an answer, each grade within an interval of two points."""
    inputs, said = np.atleast_2d(np.asarray(asked, "<f4")), np.asarray(graded, "<f4")
    outputs = np.column_stack([said, said - 1, said + 1]).astype("<f4")
    values = {
        "id": new_id(),
        "model": "grades",
        "version": version,
        "request_id": "",
        "at": at,
        "seconds": 0.002,
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


def test_nothing_recorded_is_said_and_no_error(database: Database) -> None:
    measured = measure(database)

    assert (measured.requests, measured.rows, measured.looked_at, measured.labelled) == (0, 0, 0, 0)
    assert measured.error_ratio is measured.inference_mean_s is measured.inference_p95_s is None
    assert measured.notes == ["no prediction of this version is kept from this time"]
    assert measured.alarms == []
    assert [(one.kind, one.feature, one.psi) for one in measured.drift] == [
        ("input", "sweet", None),
        ("input", "sour", None),
        ("prediction", "grade", None),
    ]


def test_labelled_rows_are_scored(database: Database) -> None:
    first = ask(database, [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], [5, 6, 7], seconds=0.001)
    second = ask(database, [0.7, 0.8], [8], seconds=0.003)
    label(database, (f"{first}-0", 5), (f"{first}-2", 9), (f"{second}-0", 7))

    measured = measure(database)

    assert (measured.requests, measured.rows, measured.looked_at, measured.labelled) == (2, 4, 4, 3)
    assert scores(measured) == pytest.approx({("mae", "all"): 1, ("mse", "all"): 5 / 3, ("coverage", "all"): 2 / 3})
    assert measured.error_ratio == pytest.approx(2)
    assert measured.inference_mean_s == pytest.approx(0.002)
    assert measured.inference_p95_s == pytest.approx(0.0029)


def test_only_the_version_and_the_window_count(database: Database) -> None:
    ask(database, [0.1, 0.2], [5], at=NOW - timedelta(hours=23))
    ask(database, [0.1, 0.2], [5], at=NOW - timedelta(hours=25))
    ask(database, [0.1, 0.2], [5], at=NOW + timedelta(hours=1))
    ask(database, [0.1, 0.2], [5], version="v2")
    ask(database, [0.1, 0.2], [5], model="another")

    assert measure(database).rows == 1
    assert measure(database, window=2 * DAY).rows == 2


def test_drift_of_inputs_and_answers_is_told(database: Database) -> None:
    ask(database, spread(200), spread(200, seed=1)[:, 0] * 10)
    assert measure(database).alarms == []

    ask(database, spread(400, low=0.7), spread(400, seed=2)[:, 0] * 10)

    assert measure(database).alarms == ["input: sweet", "input: sour"]


def test_forecasts_are_scored_by_the_days_that_have_come(database: Database) -> None:
    window, said = np.full((1, 5), 50, "<f4"), np.array([[52, 54, 45, 45, 55, 55]], "<f4")
    id = ask(database, window, [0], model="paths", inputs=window.tobytes(), outputs=said.tobytes())
    label(database, (f"{id}-0", [51]), judge=PATHS)

    measured = measure(database, judge=PATHS)

    assert measured.labelled == 1
    assert scores(measured)["mae", "day_1"] == 1
    assert scores(measured)["mae", "day_2"] is None
    assert measured.error_ratio == pytest.approx(2)


@pytest.mark.parametrize(
    "damage",
    [{"inputs": b"\0" * 23}, {"outputs": b""}, {"inputs": b"", "outputs": b""}, {"rows": 4}, {"rows": 2}],
    ids=["inputs", "outputs", "both", "more rows", "fewer rows"],
)
def test_damaged_records_are_left_out_and_counted(database: Database, damage: dict[str, Any]) -> None:
    good = ask(database, [0.1, 0.2], [5])
    bad = ask(database, [[0.1, 0.2]] * 3, [5, 5, 5], **damage)
    label(database, (f"{good}-0", 6), (f"{bad}-0", 9))

    measured = measure(database)

    assert measured.damaged == damage.get("rows", 3)
    assert measured.labelled == 1
    assert scores(measured)["mae", "all"] == 1
    assert f"{measured.damaged} rows could not be read and are left out" in measured.notes


def test_rows_that_are_no_numbers_are_left_out_and_counted(database: Database) -> None:
    id = ask(database, [[0.1, 0.2], [0.3, 0.4]], [np.nan, 5])
    label(database, (f"{id}-0", 6), (f"{id}-1", 6))

    measured = measure(database)

    assert (measured.looked_at, measured.damaged, measured.labelled) == (2, 1, 1)
    json.dumps(measured.as_dict(), allow_nan=False)


def ask_often(database: Database, sizes: Sequence[int]) -> list[str]:
    """Requests, the oldest first, that are answered with the number of the request."""
    begun = NOW - timedelta(hours=1)
    return [
        ask(database, spread(size, seed=number), np.full(size, number), at=begun + timedelta(seconds=number))
        for number, size in enumerate(sizes)
    ]


def test_the_newest_rows_are_looked_at(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ROWS", 10)
    ids = ask_often(database, [4, 4, 4, 4])
    label(database, *((f"{id}-{row}", number + 1) for number, id in enumerate(ids) for row in range(4)))

    measured = measure(database)

    assert (measured.requests, measured.rows, measured.looked_at, measured.labelled) == (4, 16, 10, 10)
    assert "drift and times are those of the newest 10 rows" in measured.notes
    assert scores(measured)["mae", "all"] == 1


def test_labels_of_older_rows_count_where_the_newest_have_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_ROWS", 10)
    ids = ask_often(database, [1, 3, 10, 10])
    label(database, (f"{ids[0]}-0", 2), (f"{ids[1]}-2", 2))

    measured = measure(database)

    assert (measured.looked_at, measured.labelled) == (10, 2)
    assert scores(measured)["mae", "all"] == pytest.approx(1.5)


def test_figures_are_kept_and_the_latest_is_found(database: Database) -> None:
    assert quality.latest(database, "grades") is None
    ask(database, spread(60), spread(60)[:, 0] * 10)
    older, newer = measure(database, window=2 * DAY), measure(database)

    quality.save(database, newer)
    quality.save(database, Quality(**(vars(older) | {"at": NOW - DAY})))

    assert quality.latest(database, "grades") == json.loads(json.dumps(newer.as_dict(), allow_nan=False))
    assert quality.latest(database, "paths") is None
    with database.reading() as session:
        kept = session.execute(select(Measurement.model, Measurement.version, Measurement.window_s)).all()
    assert sorted(tuple(one) for one in kept) == [("grades", "v1", 86_400.0), ("grades", "v1", 172_800.0)]


def test_the_figures_go_by_names_that_say_what_they_are(database: Database) -> None:
    id = ask(database, spread(60), spread(60)[:, 0] * 10)
    label(database, (f"{id}-0", 5))

    figures = measure(database).as_dict()

    assert figures["window_s"] == 86_400
    assert figures["at"] == "2026-03-04T12:00:00+00:00"
    assert [score["score"] for score in figures["scores"]] == ["mae", "mse", "coverage"]
    assert set(figures["drift"][0]) == {"kind", "feature", "rows", "psi", "expected_psi", "statistic", "p", "alarm"}
    assert figures["drift"][2]["feature"] == "grade"
