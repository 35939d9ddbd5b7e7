"""Columns that are the target in another form are found, and others are not taken for it."""

import numpy as np
import pytest

from marmita.contract.columns import Column, Kind
from marmita.training.from_csv.leaks import SUSPICIOUS, is_the_target, score_alone

GENERATOR = np.random.default_rng(5)
CLASSES = GENERATOR.integers(0, 3, 300).astype(np.float64)
VALUES = GENERATOR.normal(100, 15, 300)
NUMBER, WORD = Column("x"), Column("w", Kind.CATEGORY, categories=("a", "b", "c"))


@pytest.mark.parametrize(
    "codes",
    [CLASSES, 2 - CLASSES, np.choose(CLASSES.astype(int), [7.5, 3.25, 9.0]), np.where(CLASSES == 1, np.nan, CLASSES)],
)
def test_a_value_for_each_class_is_the_target(codes: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    for column in (NUMBER, WORD):
        assert is_the_target(column, codes.astype(np.float32), CLASSES, "classification")


def test_another_unit_is_the_target() -> None:
    for same in (VALUES, VALUES * 1.8 + 32, -VALUES):
        assert is_the_target(NUMBER, same.astype(np.float32), VALUES, "regression")


def test_a_column_that_is_only_close_is_not_the_target() -> None:
    nearly = CLASSES.copy()
    nearly[0] = (nearly[0] + 1) % 3

    assert not is_the_target(NUMBER, nearly.astype(np.float32), CLASSES, "classification")
    assert not is_the_target(NUMBER, (CLASSES > 0).astype(np.float32), CLASSES, "classification")
    noisy = VALUES + GENERATOR.normal(0, 0.1, 300)
    assert not is_the_target(NUMBER, noisy.astype(np.float32), VALUES, "regression")
    assert not is_the_target(NUMBER, np.exp(VALUES / 50).astype(np.float32), VALUES, "regression")
    assert not is_the_target(WORD, np.arange(300, dtype=np.float32), np.arange(300.0), "regression")


def test_a_column_alone_gets_a_score() -> None:
    told = (CLASSES + GENERATOR.normal(0, 0.05, 300)).astype(np.float32)
    chance = GENERATOR.normal(size=300).astype(np.float32)

    assert score_alone(told, CLASSES, "classification", 7, 1) >= SUSPICIOUS
    assert score_alone(chance, CLASSES, "classification", 7, 1) < 0.5
    assert score_alone(np.exp(VALUES / 50).astype(np.float32), VALUES, "regression", 7, 1) > 0.95
    assert score_alone(chance, VALUES, "regression", 7, 1) == 0


def test_a_rare_class_is_not_told_by_a_constant() -> None:
    rare = np.zeros(1_000)
    rare[:5] = 1

    assert score_alone(np.ones(1_000, np.float32), rare, "classification", 7, 1) == pytest.approx(0.5)
