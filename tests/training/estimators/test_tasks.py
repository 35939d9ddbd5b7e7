"""Scores of classes and of values."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from marmita.training.estimators.target import Target
from marmita.training.estimators.tasks import CALIBRATED, Classification, Regression


def test_probabilities_count_as_calibrated_up_to_a_bound() -> None:
    task = Classification(("no", "yes"))
    generator = np.random.default_rng(0)
    likely = generator.uniform(size=5_000)
    truths = (generator.uniform(size=5_000) < likely).astype(np.int64)
    honest, bold = (np.column_stack([1 - yes, yes]) for yes in (likely, np.round(likely)))

    earned, claimed = task.scores(truths, honest), task.scores(truths, bold)

    assert earned["calibrated"] is True
    assert claimed["calibrated"] is False
    assert CALIBRATED < earned["calibration_bound"] < CALIBRATED + 0.02
    assert claimed["calibration_error"] == pytest.approx(0.25, abs=0.02)


def test_a_baseline_that_has_not_seen_a_class_gives_it_no_probability() -> None:
    task = Classification(("a", "b", "c"))
    rows = np.zeros((20, 1), dtype=np.float32)
    truths = np.array([0, 2] * 10)

    outputs = task.predict(DummyClassifier(strategy="prior").fit(rows, truths), rows[:1])

    np.testing.assert_allclose(outputs, [[0.5, 0, 0.5]])


def test_classes_are_in_the_estimators_order() -> None:
    task = Classification((False, True))

    assert task.described == {"classes": ["false", "true"]}
    assert task.truths(Target("y", np.array([True, False]))).tolist() == [1, 0]
    assert list(task.predictions(np.array([[0.2, 0.8]]))) == ["false", "true"]


def test_values_are_scored_with_their_intervals_if_they_have_some() -> None:
    truths, values = np.array([1.0, 2.0]), np.array([[1.5], [2.0]])

    plain = Regression().scores(truths, values)
    whole = Regression().scores(truths, np.column_stack([values, values - 0.2, values + 0.2]))

    assert plain["mae"] == whole["mae"] == 0.25
    assert "interval_coverage" not in plain
    assert (whole["interval_coverage"], whole["interval_width"]) == (0.5, pytest.approx(0.4))
