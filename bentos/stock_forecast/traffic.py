"""The simulated users of the load test: each one repeatedly requests forecasts for a few stocks."""

import random
from pathlib import Path
from typing import Any

from bentos.stock_forecast.contract import HORIZON, WINDOW, Forecast
from marmita import traffic
from marmita.records.prices.time_split import first_unseen
from marmita.training.rows import read_rows

STOCKS = 5
PLAUSIBLE_FACTOR = 1.5
"""The largest plausible factor between a forecast and the last close, up or down."""


class Traffic(traffic.Traffic):
    """Users whose requests hold windows of closes from the held-out years."""

    weight = 3
    wait_s = (0.2, 1)
    path = "/stock-forecast/forecast"

    def read(self, data: Path) -> None:
        days = [row["Adj Close"] for row in read_rows(data / "msft_daily.csv", ["Adj Close"])]
        closes = days[first_unseen(len(days)) :]
        self._windows = [closes[start : start + WINDOW] for start in range(len(closes) - WINDOW + 1)]

    def rows(self) -> list[traffic.Fields]:
        windows = random.sample(self._windows, STOCKS)
        return [{"closes": closes, "horizon": random.randint(1, HORIZON)} for closes in windows]  # noqa: S311

    def flaw(self, row: dict[str, Any], answer: Forecast) -> str | None:
        last = row["closes"][-1]
        if [step.step for step in answer.path] != list(range(1, row["horizon"] + 1)):
            return "the steps are not those of the horizon"
        if not all(0 < step.low <= step.close <= step.high for step in answer.path):
            return "a close lies outside its interval"
        if not all(last / PLAUSIBLE_FACTOR <= step.close <= last * PLAUSIBLE_FACTOR for step in answer.path):
            return "a close is far from the last one"
        return traffic.flaw_of_coverage(answer.coverage)
