"""Who asks with rows that no model has seen gets exactly those that training keeps back."""

import subprocess
import sys

import numpy as np

from marmita.training import rows
from marmita.training.examples import Doubles
from training import fetal_health, wine_quality
from training.stock_forecast import prices, train


def values(some: list[rows.Row]) -> Doubles:
    return np.array([list(row.values()) for row in some])


def test_unseen_exams_are_those_that_training_holds_out() -> None:
    exams = fetal_health.read()
    unseen = values(rows.unseen(rows.exams()))

    assert np.array_equal(unseen.astype(np.float32), exams.features[exams.held_out])
    assert len(unseen) == 427


def test_unseen_wines_are_those_that_training_holds_out() -> None:
    wines = wine_quality.read()
    unseen = values(rows.unseen(rows.wines()))

    assert np.array_equal(unseen.astype(np.float32), wines.features[wines.held_out])
    assert len(unseen) == 275


def test_unseen_closes_are_the_years_after_those_that_training_knows() -> None:
    closes = prices.read()

    assert np.array_equal(rows.closes(), closes.values)
    assert np.array_equal(rows.unseen_closes(), train.split(closes).unseen)


def test_reading_them_takes_nothing_that_only_training_needs() -> None:
    script = "import sys, training.rows; sys.exit(not {'pandas', 'sklearn', 'tensorflow'}.isdisjoint(sys.modules))"

    assert subprocess.run([sys.executable, "-c", script], cwd=rows.FOLDER.parents[1], check=False).returncode == 0
