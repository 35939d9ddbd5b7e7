"""Rows that no model has seen are exactly those that training keeps back."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from marmita.training.examples import Doubles
from marmita.training.rows import Row, unseen
from tests import samples
from training import fetal_health, wine_quality

ROOT = Path(__file__).parents[2]


def values(some: list[Row]) -> Doubles:
    return np.array([list(row.values()) for row in some])


def test_unseen_exams_are_those_that_training_holds_out() -> None:
    exams = fetal_health.read()
    found = values(unseen(samples.exams(10_000)["exams"]))

    assert np.array_equal(found.astype(np.float32), exams.features[exams.held_out])
    assert len(found) == 427


def test_unseen_wines_are_those_that_training_holds_out() -> None:
    wines = wine_quality.read()
    found = values(unseen(samples.wines(10_000)["wines"]))

    assert np.array_equal(found.astype(np.float32), wines.features[wines.held_out])
    assert len(found) == 275


def test_reading_rows_takes_nothing_that_only_training_needs() -> None:
    heavy = "{'pandas', 'sklearn', 'tensorflow'}"
    script = f"import sys, marmita.training.rows; sys.exit(not {heavy}.isdisjoint(sys.modules))"

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
