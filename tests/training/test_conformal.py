"""Intervals that hold what they promise."""

import numpy as np
import pytest

from marmita.training.conformal import conformal


def test_half_of_the_misses_may_lie_on_either_side() -> None:
    residuals = np.random.default_rng(0).normal(size=20_000)

    interval = conformal(residuals[:10_000])

    assert interval.coverage(residuals[10_000:]) == pytest.approx(0.9, abs=0.01)
    assert interval.low == pytest.approx(-1.645, abs=0.06)
    assert interval.high == pytest.approx(1.645, abs=0.06)
    with pytest.raises(ValueError, match="too few"):
        conformal(residuals[:10])
