"""The runner of the stock forecaster."""

import logging
from datetime import date
from itertools import zip_longest
from typing import Any

import bentoml
import numpy as np
from starlette.concurrency import run_in_threadpool

from bentos.stock_forecast.contract import (
    CONTRACT,
    EXAMPLE,
    HORIZON,
    NAME,
    WINDOW,
    AllSeries,
    Forecast,
    ForecastBesideActual,
    ForecastFrom,
    Series,
)
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.rows import Floats
from marmita.records.database.database import DatabaseDownError
from marmita.records.predictions.bundles import Subject
from marmita.records.prices.prices import Closes, NotEnoughHistoryError, future, history
from marmita.records.quality.path_evaluator import PathEvaluator
from marmita.registry.startup import StartupModel
from marmita.runtime.endpoints import endpoint
from marmita.runtime.loaded_model import LoadedModel
from marmita.runtime.recording import database
from marmita.runtime.runner import Runner
from marmita.service import Service

log = logging.getLogger(__name__)

FLAT = 0.005
"""The largest relative change between the ends of a path that counts as flat."""


def to_array(series: list[Series]) -> Floats:
    """Return the window of each series that its forecast uses."""
    return np.array([one.closes[-WINDOW:] for one in series], dtype=np.float32)


def outcome(last: float, end: float) -> str:
    """Return the outcome by which a path is counted: flat, rise or fall."""
    if abs(end / last - 1) <= FLAT:
        return "flat"
    return "rise" if end > last else "fall"


@bentoml.service(service_class=Service)
class StockForecast(Runner):
    """Forecast a stock's next closes from its recent ones."""

    contract = CONTRACT
    needs_prices = True
    model = StartupModel(NAME, CONTRACT)
    evaluator = PathEvaluator(NAME, WINDOW, HORIZON)
    sample = to_array(AllSeries.model_validate(EXAMPLE).series)

    @endpoint("/stock-forecast/forecast", AllSeries, Forecast, many=True)
    async def forecast(self, asked: AllSeries) -> list[dict[str, Any]]:
        """Forecast the next closes of stocks.

        Each series gets a path of as many days as its horizon says. Nine closes in ten should lie in their day's
        interval.
        """
        rows = to_array(asked.series)
        predicted = await self.run(rows, [_subject(one.ticker, one.as_of) for one in asked.series])
        outputs = _shortened(predicted.outputs).reshape(len(rows), 3, HORIZON)
        forecasts = [
            _path(predicted.by, *path[:, : one.horizon].tolist())
            for one, path in zip(asked.series, outputs, strict=True)
        ]
        ends = [path["path"][-1]["close"] for path in forecasts]
        predicted.by.metrics.answered(len(rows), map(outcome, rows[:, -1].tolist(), ends), [])
        return predicted.identify(forecasts)

    @endpoint("/stock-forecast/forecast-from", ForecastFrom, ForecastBesideActual, many=False)
    async def forecast_from(self, asked: ForecastFrom) -> dict[str, Any]:
        """Forecast from stored closes, as of a given day.

        The forecast uses no close of a later day. The actual closes stand beside it, as far as they are known.
        """
        past, after = await run_in_threadpool(_read_closes, asked.ticker, asked.as_of, asked.horizon)
        rows = np.array([past.values], dtype=np.float32)
        predicted = await self.run(rows, [Subject(asked.ticker, past.days[-1])])
        (path,) = _shortened(predicted.outputs).reshape(1, 3, HORIZON)
        forecast = _path(predicted.by, *path[:, : asked.horizon].tolist())
        predicted.by.metrics.answered(1, [outcome(past.values[-1], forecast["path"][-1]["close"])], [])
        beside = zip_longest(forecast["path"], after.days, after.values)
        forecast["path"] = [step | {"day": day, "actual": actual} for step, day, actual in beside]
        about = {"ticker": asked.ticker, "as_of": past.days[-1], "last_close": past.values[-1]}
        (identified,) = predicted.identify([about | forecast])
        return identified

    def outcomes(self, rows: Floats, outputs: Floats) -> list[str]:
        lasts, ends = rows[:, -1].tolist(), outputs[:, HORIZON - 1].tolist()
        return [outcome(last, end) for last, end in zip(lasts, ends, strict=True)]


def _subject(ticker: str | None, as_of: date | None) -> Subject | None:
    return Subject(ticker, as_of) if ticker and as_of else None


def _read_closes(ticker: str, as_of: date, horizon: int) -> tuple[Closes, Closes]:
    """Return the window of closes up to a day, and the known closes of the days after it."""
    try:
        with database().reading() as session:
            past = history(session, ticker, as_of, WINDOW)
            return past, future(session, ticker, past.days[-1], horizon)
    except NotEnoughHistoryError as error:
        raise RequestError(ErrorCode.NOT_ENOUGH_HISTORY, f"{error}: POST /prices/load fetches more") from None
    except DatabaseDownError as error:
        log.warning("closes of %s could not be read: database unavailable: %s", ticker, error)
        said = "the database can't be used now: try again in a moment"
        raise RequestError(ErrorCode.DATABASE_UNAVAILABLE, said) from None


def _shortened(outputs: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the numbers without the digits that exceed single precision, at any price level."""
    return outputs.astype(np.str_).astype(np.float64)


def _path(by: LoadedModel, closes: list[float], lows: list[float], highs: list[float]) -> dict[str, Any]:
    days = enumerate(zip(closes, lows, highs, strict=True), start=1)
    return {
        "path": [{"step": step, "close": close, "low": low, "high": high} for step, (close, low, high) in days],
        "coverage": by.reference["coverage"],
        "model": by.tag,
    }
