"""The runner of the stock forecaster."""

from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import ContentType

from bentos.stock_forecast.contract import CONTRACT, EXAMPLE, HORIZON, NAME, WINDOW, AllSeries, Forecast, Series
from marmita.contract import Floats
from marmita.runner import Runner, answer
from marmita.service import Service
from marmita.store import served

FLAT = 0.005
"""A path that ends within half a percent of where it began counts as flat."""


def to_array(series: list[Series]) -> Floats:
    """The window that each forecast looks at."""
    return np.array([one.closes[-WINDOW:] for one in series], dtype=np.float32)


def outcome(last: float, end: float) -> str:
    """The bucket that a path is counted in."""
    if abs(end / last - 1) <= FLAT:
        return "flat"
    return "rise" if end > last else "fall"


@bentoml.service(service_class=Service, description="Forecasts a stock's next closes from its recent ones.")
class StockForecast(Runner):
    """Forecasts stock closes."""

    model = served(NAME, CONTRACT)
    sample = to_array(AllSeries.model_validate(EXAMPLE).series)

    def __init__(self) -> None:
        super().__init__()
        self._coverage = self.reference["coverage"]

    @bentoml.api(route="/stock-forecast/forecast", input_spec=AllSeries)
    async def forecast(self, series: list[Series]) -> Annotated[list[Forecast], ContentType("application/json")]:
        """Forecast the next closes of stocks.

        Each series gets a path of as many days as its horizon says. Nine closes in ten should lie in their day's
        interval.
        """
        rows = to_array(series)
        outputs = _shortest(await self.run(rows)).reshape(len(rows), 3, HORIZON)
        forecasts = [self._path(*path[:, : one.horizon].tolist()) for one, path in zip(series, outputs, strict=True)]
        ends = [path["path"][-1]["close"] for path in forecasts]
        self.metrics.answered(map(outcome, rows[:, -1].tolist(), ends), [])
        return answer(forecasts)

    def outcomes(self, rows: Floats, outputs: Floats) -> list[str]:
        lasts, ends = rows[:, -1].tolist(), outputs[:, HORIZON - 1].tolist()
        return [outcome(last, end) for last, end in zip(lasts, ends, strict=True)]

    def _path(self, closes: list[float], lows: list[float], highs: list[float]) -> dict[str, Any]:
        days = enumerate(zip(closes, lows, highs, strict=True), start=1)
        return {
            "path": [{"step": step, "close": close, "low": low, "high": high} for step, (close, low, high) in days],
            "coverage": self._coverage,
            "model": self.tag,
        }


def _shortest(outputs: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The same numbers without the digits that single precision does not carry, whatever the price level."""
    return outputs.astype(np.str_).astype(np.float64)
