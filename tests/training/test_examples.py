"""What no model may see is kept from all of them."""

import hashlib

import numpy as np
import pytest

from marmita.records.quality.reference import describe
from marmita.training.examples import held_out
from training import DATA, fetal_health, wine_quality


def test_the_reference_data_is_what_the_readme_says() -> None:
    readme = (DATA / "README.md").read_text()

    for file in DATA.glob("*.csv"):
        assert f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" in readme


def test_equal_rows_stand_on_the_same_side() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 4))
    twice = np.concatenate([rows, rows[::-1]])

    kept = held_out(twice)

    assert (kept[:500] == kept[500:][::-1]).all()
    assert 0.15 < kept.mean() < 0.25


def test_more_rows_change_nothing_for_the_old_ones() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 4))

    assert (held_out(rows)[:100] == held_out(rows[:100])).all()


@pytest.mark.parametrize("rows", [wine_quality.read().features, fetal_health.read().features])
def test_no_row_is_there_twice(rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_reference_statistics_describe_the_rows() -> None:
    values = np.arange(1000) / 10

    described = describe(values)

    assert described["min"] == 0
    assert described["max"] == 99.9
    assert described["mean"] == pytest.approx(values.mean())
    assert described["shares"] == pytest.approx([0.1] * 10, abs=0.002)
    assert describe(np.zeros(10))["shares"] == [1.0, 0.0]
