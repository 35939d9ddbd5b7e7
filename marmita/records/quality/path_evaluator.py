"""The evaluator of a forecaster that takes windows of closes and returns paths of the following days."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from marmita.records.quality.evaluators import (
    ALL,
    Dependence,
    Doubles,
    Evaluator,
    Floats,
    LabelledAnswers,
    Places,
    Score,
    interval_scores,
    is_number,
    keys,
    mean,
    ratio,
)

HIGHEST_CLOSE = 1e9
_OVERLAP = 4
"""The length of a common run of closes by which two windows overlap: they are of one stock and share days."""
_MAX_WINDOWS = 2000
"""The maximum number of windows. As all stocks are correlated, more windows add no information."""


@dataclass(frozen=True)
class PathEvaluator(Evaluator):
    """The evaluator of a model that takes a window of closes, and returns closes, lows and highs of the next days."""

    model: str
    window: int
    horizon: int
    first_step = 1

    @property
    def steps(self) -> int:
        return self.horizon

    @property
    def width(self) -> int:
        return self.window

    @property
    def outputs(self) -> int:
        return 3 * self.horizon

    def inputs(self, rows: Floats) -> dict[str, Doubles]:
        """Return one daily return of each window, and the window's volatility.

        The days are spread over the windows: requests made on one day share their last day, on which all stocks may
        fall together.
        """
        returns = np.diff(np.log(rows.astype(np.float64)), axis=1)
        days = np.arange(len(rows)) % returns.shape[1]
        return {
            "daily_return": returns[np.arange(len(rows)), days],
            "volatility": np.sqrt(np.mean(returns**2, axis=1)),
        }

    def predictions(self, rows: Floats, outputs: Floats) -> dict[str, Doubles]:
        ends, lasts = outputs[:, self.horizon - 1].astype(np.float64), rows[:, -1].astype(np.float64)
        return {"path_end": ends / lasts - 1}

    def read(self, truth: object) -> list[tuple[int, float]]:
        closes = truth if isinstance(truth, list | tuple) else []
        if not 1 <= len(closes) <= self.horizon or not all(map(_is_close, closes)):
            raise ValueError(f"must be a list of 1 to {self.horizon} positive closes, that of the first day first")
        return [(step, float(close)) for step, close in enumerate(closes, start=1)]

    def score(self, answered: LabelledAnswers) -> list[Score]:
        scores = []
        for step in range(self.horizon):
            scores += self._scores(answered, slice(step, step + 1), f"day_{step + 1}")
        return scores + self._scores(answered, slice(None), ALL)

    def error_ratio(self, answered: LabelledAnswers, held_out: Mapping[str, Any]) -> float | None:
        """Return the error ratio, relative to a forecast of unchanged closes for the same days.

        In volatile times both errors are large, without any fault of the model.
        """
        last, known = answered.rows[:, -1:].astype(np.float64), answered.known
        errors = np.abs(answered.outputs[:, : self.horizon] - answered.truths) / last
        of_no_change = np.abs(last - answered.truths) / last
        expected = of_no_change * [day["mae_ratio"] for day in held_out["days"]]
        return ratio(mean(errors[known]), mean(expected[known]))

    def independent(self, rows: Floats) -> Places:
        """Return the places of windows that share no days: a stock's next window has one new close and 59 old ones."""
        seen: set[bytes] = set()
        found = []
        for place, window in enumerate(rows):
            if window[:_OVERLAP].tobytes() in seen or window[-_OVERLAP:].tobytes() in seen:
                continue
            found.append(place)
            if len(found) == _MAX_WINDOWS:
                break
            seen.update(keys(np.lib.stride_tricks.sliding_window_view(window, _OVERLAP)))
        return np.array(found, dtype=np.intp)

    def dependence(self, name: str) -> Dependence:
        """Return the dependence of returns or of volatility.

        Volatility is clustered in time and correlated between stocks. The reference is of one stock, with overlapping
        windows.
        """
        if name == "daily_return":
            return Dependence(alike=0.02, spell=self.window / 6)
        return Dependence(alike=0.2, spell=self.window)

    def _scores(self, answered: LabelledAnswers, days: slice, part: str) -> list[Score]:
        paths = answered.outputs.astype(np.float64).reshape(len(answered.rows), 3, self.horizon)[:, :, days]
        truths, known = answered.truths[:, days], answered.known[:, days]
        percent = np.abs(paths[:, 0] - truths) / answered.rows[:, -1:].astype(np.float64) * 100
        return [*interval_scores(paths, truths, part), Score("mae_percent", part, mean(percent[known]))]


def _is_close(value: object) -> bool:
    return is_number(value) and 0 < value <= HIGHEST_CLOSE
