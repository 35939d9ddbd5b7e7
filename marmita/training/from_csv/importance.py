"""The importance of columns: how much worse a model is on held-out rows when a column's values are shuffled."""

from collections.abc import Callable
from typing import Any

import numpy as np

from marmita.contract.columns import Floats
from marmita.training.examples import Doubles
from marmita.training.from_csv.lessons import METRICS, Lesson

MOST_ROWS = 2_000
_MIN_ROWS = 200
_MOST_CELLS = 200_000
_DIGITS = 6


def importance(predict: Callable[[Floats], Doubles], held_out: Lesson, seed: int) -> list[dict[str, Any]]:
    """Return each column with how much the score falls without it, the most important one first.

    It is measured on fewer rows if there are many columns.
    """
    size = int(np.clip(_MOST_CELLS // len(held_out.columns), _MIN_ROWS, MOST_ROWS))
    lesson = held_out.sample(size, seed)
    generator = np.random.default_rng(seed)
    metric = METRICS[lesson.task]
    sign = 1 if lesson.higher_is_better else -1
    whole = lesson.scores(predict(lesson.rows))[metric]
    found = []
    for place, column in enumerate(lesson.columns):
        rows = lesson.rows.copy()
        rows[:, place] = generator.permutation(rows[:, place])
        fall = sign * (whole - lesson.scores(predict(rows))[metric])
        found.append({"column": column.name, "importance": round(float(fall), _DIGITS)})
    return sorted(found, key=lambda one: -one["importance"])
