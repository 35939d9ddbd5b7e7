"""A column matters as much as predictions are worse without it."""

import numpy as np
import pytest

from marmita.contract.columns import Column, Floats
from marmita.training.examples import Doubles
from marmita.training.from_csv.importance import MOST_ROWS, importance
from marmita.training.from_csv.lessons import Lesson

COLUMNS = (Column("none"), Column("much"), Column("little"))
ROWS = np.random.default_rng(6).normal(size=(3_000, 3)).astype(np.float32)


def value(rows: Floats) -> Doubles:
    return np.asarray(10 * rows[:, 1] + rows[:, 2], np.float64)


def probability(rows: Floats) -> Doubles:
    return np.column_stack([value(rows) <= 0, value(rows) > 0]).astype(np.float64)


@pytest.mark.parametrize("classes", [("no", "yes"), ()])
def test_columns_are_ordered_by_their_importance(classes: tuple[str, ...]) -> None:
    predict = probability if classes else value
    truths = (value(ROWS) > 0).astype(np.float64) if classes else value(ROWS)

    found = importance(predict, Lesson(COLUMNS, ROWS, truths, classes), seed=7)

    assert [each["column"] for each in found] == ["much", "little", "none"]
    assert found[0]["importance"] > found[1]["importance"] > found[2]["importance"] == 0


def test_it_is_measured_on_fewer_rows_if_there_are_many() -> None:
    asked: list[int] = []

    def predict(rows: Floats) -> Doubles:
        asked.append(len(rows))
        return value(rows)

    importance(predict, Lesson(COLUMNS, ROWS, value(ROWS)), seed=7)

    assert asked == [MOST_ROWS] * 4
