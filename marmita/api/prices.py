"""`/prices` and `/prices/load`: daily prices of stocks, for models that need them."""

from datetime import date
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from marmita.api.operations import INVALID, UNAVAILABLE, Api, Operation, query, query_parameter
from marmita.contract.answers import Answer
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call
from marmita.contract.requests import RequestBody
from marmita.records.prices import loading, prices
from marmita.records.prices.ticker import Ticker, ticker_of

_EXAMPLE: dict[str, Any] = {"ticker": "MSFT", "start": "2012-01-03", "end": "2013-03-01"}


class LoadPrices(RequestBody):
    """The stock and the days whose prices to load."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})
    most_keys: ClassVar[int] = 16

    ticker: Ticker
    start: date = Field(description="The first day")
    end: date = Field(description="The last day")


class PricesLoaded(Answer):
    """The number of prices that were fetched and stored."""

    ticker: str
    fetched: int = Field(description="Trading days that were fetched: 0 if all of them were stored already")
    days: int = Field(description="Trading days from start to end that are stored now")
    labelled: int = Field(description="Steps of earlier forecasts that these prices labelled")


class PriceOfDay(Answer):
    """The prices of a stock on one day, adjusted for splits but not for dividends."""

    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int
    dividend: float
    split: float


class StoredPrices(Answer):
    """The stored prices of a stock."""

    ticker: str
    prices: list[PriceOfDay]


def operations(api: Api) -> list[Operation]:
    async def load(call: Call) -> Answer:
        asked = LoadPrices.model_validate_json(call.body)
        try:
            loaded = await run_in_threadpool(loading.load, api.database(), asked.ticker, asked.start, asked.end)
        except ValueError as error:
            raise RequestError(ErrorCode.INVALID_REQUEST, str(error)) from None
        except prices.PricesError as error:
            raise RequestError(ErrorCode.PRICES_UNAVAILABLE, str(error)) from None
        return PricesLoaded(ticker=asked.ticker, fetched=loaded.fetched, days=loaded.days, labelled=loaded.labelled)

    async def show(call: Call) -> Answer:
        ticker = query(call, "ticker", ticker_of)
        first, last = query(call, "start", _day), query(call, "end", _day)
        if first > last:
            raise RequestError(ErrorCode.INVALID_REQUEST, f"start, {first}, must not be after end, {last}")
        found = await run_in_threadpool(_stored, api, ticker, first, last)
        if not found:
            raise RequestError(
                ErrorCode.PRICES_NOT_FOUND,
                f"no prices of {ticker} are kept from {first} to {last}: POST /prices/load fetches them",
            )
        return StoredPrices(ticker=ticker, prices=[PriceOfDay.model_validate(bar._asdict()) for bar in found])

    untrusted = "Yahoo Finance is unavailable or its prices are invalid. The stored prices did not change."
    return [
        Operation(
            method="POST",
            path="/prices/load",
            name="load_prices",
            tag="records",
            about="Fetch missing prices from Yahoo Finance",
            request=LoadPrices,
            answer=PricesLoaded,
            handlers={"/prices/load": load},
            errors=INVALID | UNAVAILABLE | {HTTPStatus.BAD_GATEWAY: untrusted},
            keys=api.keys,
        ),
        Operation(
            method="GET",
            path="/prices",
            name="show_prices",
            tag="records",
            about="The stored prices of a stock",
            answer=StoredPrices,
            handlers={"/prices": show},
            parameters=[
                query_parameter("ticker", "The stock", "MSFT"),
                query_parameter("start", "The first day", "2013-01-02"),
                query_parameter("end", "The last day", "2013-02-01"),
            ],
            errors=INVALID | UNAVAILABLE | {HTTPStatus.NOT_FOUND: "No prices of these days are stored."},
        ),
    ]


def _stored(api: Api, ticker: str, first: date, last: date) -> list[prices.Bar]:
    with api.database().reading() as session:
        return prices.stored(session, ticker, first, last)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day, such as 2013-02-01") from None
