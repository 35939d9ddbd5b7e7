"""Quality: figures over what was recorded and labelled."""

import json
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select

from marmita.records.database.database import Database
from marmita.records.database.tables import Measurement
from marmita.records.quality import quality
from marmita.records.quality.quality import Quality
from tests.records.grades import DAY, NOW, PATHS, ask, label, measure, scores, spread


def test_nothing_recorded_is_said_and_no_error(database: Database) -> None:
    measured = measure(database)

    assert (measured.requests, measured.rows, measured.looked_at, measured.labelled) == (0, 0, 0, 0)
    assert measured.error_ratio is measured.inference_mean_s is measured.inference_p95_s is None
    assert len(measured.notes) == 1
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
    label(database, (f"{id}-0", [51]), evaluator=PATHS)

    measured = measure(database, evaluator=PATHS)

    assert measured.labelled == 1
    assert scores(measured)["mae", "day_1"] == 1
    assert scores(measured)["mae", "day_2"] is None
    assert measured.error_ratio == pytest.approx(2)


def test_figures_are_kept_and_shown_the_newest_first(database: Database) -> None:
    assert quality.history(database, "grades", most=3) == []
    id = ask(database, spread(60), spread(60)[:, 0] * 10)
    ask(database, spread(400, low=0.7), spread(400, seed=2)[:, 0] * 10)
    label(database, (f"{id}-0", 5))
    older, newer = measure(database, window=2 * DAY), measure(database)

    quality.save(database, newer)
    quality.save(database, Quality(**(vars(older) | {"at": NOW - DAY})))

    shown = {"version": "v1", "rows": 460, "labelled": 1, "error_ratio": pytest.approx(newer.error_ratio)}
    shown["alarms"] = ["input: sweet", "input: sour"]
    assert quality.history(database, "grades", most=3) == [
        {"at": "2026-03-04T12:00:00+00:00"} | shown,
        {"at": "2026-03-03T12:00:00+00:00"} | shown,
    ]
    assert [one["at"] for one in quality.history(database, "grades", most=1)] == ["2026-03-04T12:00:00+00:00"]
    assert quality.history(database, "paths", most=3) == []


def test_figures_are_kept_whole(database: Database) -> None:
    ask(database, spread(60), spread(60)[:, 0] * 10)
    measured = measure(database)

    quality.save(database, measured)

    with database.reading() as session:
        asked = select(Measurement.model, Measurement.version, Measurement.window_s, Measurement.figures)
        kept = [tuple(one) for one in session.execute(asked)]
    assert kept == [("grades", "v1", 86_400.0, json.loads(json.dumps(measured.as_dict(), allow_nan=False)))]


def test_the_figures_go_by_names_that_say_what_they_are(database: Database) -> None:
    id = ask(database, spread(60), spread(60)[:, 0] * 10)
    label(database, (f"{id}-0", 5))

    figures = measure(database).as_dict()

    assert figures["window_s"] == 86_400
    assert figures["at"] == "2026-03-04T12:00:00+00:00"
    assert [score["score"] for score in figures["scores"]] == ["mae", "mse", "coverage"]
    assert set(figures["drift"][0]) == {"kind", "feature", "rows", "psi", "expected_psi", "statistic", "p", "alarm"}
    assert figures["drift"][2]["feature"] == "grade"
