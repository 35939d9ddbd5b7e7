"""Scores that were worked out by hand, and the calibration of probabilities that are known to be right."""

import numpy as np
import pytest

from marmita.training.scoring import calibration_error, calibration_error_by_chance


def test_calibration_error_is_zero_when_confidence_is_earned() -> None:
    labels = np.array([0] * 8 + [1] * 2)
    earned = np.tile([0.8, 0.2, 0.0], (10, 1))

    assert calibration_error(labels, earned) == pytest.approx(0)
    assert calibration_error(labels, np.tile([1.0, 0.0, 0.0], (10, 1))) == pytest.approx(0.2)


@pytest.mark.parametrize("rows", [100, 2_000])
def test_the_calibration_error_by_chance_is_that_of_labels_drawn_by_the_probabilities(rows: int) -> None:
    generator = np.random.default_rng(2)
    likely = generator.uniform(0.5, 1.0, size=rows)
    probabilities = np.column_stack([likely, 1 - likely])
    drawn = [(generator.uniform(size=rows) > likely).astype(np.int64) for _ in range(200)]

    measured = np.mean([calibration_error(labels, probabilities) for labels in drawn])

    assert calibration_error_by_chance(probabilities) == pytest.approx(measured, rel=0.1)
