"""The contract of the stock forecaster: a window of daily closes in, a path of the next days out."""

import math
from datetime import date
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, FailFast, Field, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from marmita.contract.answers import Answer, PredictionId, no_default
from marmita.contract.requests import RequestBody, Rows, Strict, most_keys
from marmita.records.prices.ticker import Ticker

NAME = "stock_forecast"
WINDOW = 60
"""The number of closes that a forecast uses."""
HORIZON = 10
"""The largest number of days in a forecast."""
MAX_CLOSES = 10_000
"""Forty years of trading days."""

Horizon = Annotated[int, Field(ge=1, le=HORIZON, strict=True, description="How many trading days to forecast")]
Close = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=1e-6, le=1e9)]


class Series(Strict):
    """The recent past of one stock."""

    closes: Annotated[list[Close], FailFast()] = Field(
        min_length=WINDOW,
        max_length=MAX_CLOSES,
        description="Daily closes in any currency, adjusted for splits and dividends, oldest first. "
        f"The last {WINDOW} are used.",
    )
    horizon: Horizon = 5
    ticker: Ticker | SkipJsonSchema[None] = Field(default=None, json_schema_extra=no_default)
    as_of: date | SkipJsonSchema[None] = Field(
        default=None,
        json_schema_extra=no_default,
        description="The day of the last close. With the ticker, prices label the forecast when its days have come.",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.ticker is None) != (self.as_of is None):
            raise PydanticCustomError("both_or_none", "ticker and as_of belong together")
        return self


EXAMPLE: dict[str, Any] = {
    "series": [{"closes": [round(25 + 2 * math.sin(day / 9) + day / 40, 2) for day in range(WINDOW)], "horizon": 5}]
}
CONTRACT: dict[str, Any] = {
    "features": [
        {
            "name": f"close_{WINDOW - day}_days_ago" if day < WINDOW - 1 else "last_close",
            "unit": "currency",
            "low": 1e-6,
            "high": 1e9,
        }
        for day in range(WINDOW)
    ],
    "horizon": HORIZON,
}


class AllSeries(RequestBody):
    """Series to forecast."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
    most_keys = most_keys(Series)

    series: Rows[Series] = Field(description="The series, one forecast for each")


class Step(Answer):
    """One day of a forecast."""

    step: int = Field(description="Trading days ahead", examples=[1])
    close: float = Field(description="The forecast")
    low: float = Field(description="The lower end of the interval")
    high: float = Field(description="The upper end of the interval")


class Forecast(Answer):
    """The path of the next days."""

    path: list[Step]
    coverage: float = Field(description="The share of days on which the close lies in its interval", examples=[0.9])
    model: str = Field(description="The version that answered", examples=["stock_forecast:xf2cl6wbqsz7aaav"])
    id: PredictionId = None


EXAMPLE_FROM: dict[str, Any] = {"ticker": "MSFT", "as_of": "2013-02-01", "horizon": 5}


class ForecastFrom(RequestBody):
    """A request for a forecast from stored closes."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_FROM]})
    most_keys: ClassVar[int] = 16

    ticker: Ticker
    as_of: date = Field(description="The last day whose close the forecast may use")
    horizon: Horizon = 5


class KnownStep(Step):
    """One day of a forecast, with the actual close."""

    day: date | None = Field(description="The day, if its close is known")
    actual: float | None = Field(description="Its close, adjusted for dividends as the forecast is")


class ForecastBesideActual(Answer):
    """The path of the next days, beside the actual closes."""

    ticker: str
    as_of: date = Field(description="The last trading day that the forecast uses")
    last_close: float = Field(description="The close of that day")
    path: list[KnownStep]
    coverage: float = Field(description="The share of days on which the close lies in its interval", examples=[0.9])
    model: str = Field(description="The version that answered", examples=["stock_forecast:xf2cl6wbqsz7aaav"])
    id: PredictionId = None
