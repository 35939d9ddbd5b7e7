"""Prices are loaded, looked at, forecast from, and label the forecasts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.stock_forecast.contract import WINDOW
from marmita.registry.packed_model import PackedModel
from tests.e2e.server import Server, free_port, home, serve
from tests.messages import mentions
from tests.records.stocks import FIRST, TICKER, days, walk
from tests.samples import FORECAST
from tests.training.yahoo import Yahoo, serving

pytestmark = pytest.mark.timeout(180)

LAST = days(FIRST, 200)[-1]
AS_OF = days(FIRST, 150)[-1]
FORECAST_FROM = "/stock-forecast/forecast-from"
TOPOLOGIES = ["colocated", "split"]
NUMBERS = count()


@dataclass(frozen=True)
class Shop:
    """A server that keeps its forecasts, a Yahoo that knows 200 days of any stock, and one of the stocks."""

    server: Server
    yahoo: Yahoo
    ticker: str = TICKER

    def load(self, first: date = FIRST, last: date = LAST, ticker: str = "") -> httpx.Response:
        request = {"ticker": ticker or self.ticker, "start": first.isoformat(), "end": last.isoformat()}
        return httpx.post(f"{self.server.url}/prices/load", json=request, timeout=60)

    def shown(self, **query: str) -> httpx.Response:
        return httpx.get(f"{self.server.url}/prices", params={"ticker": self.ticker, **query}, timeout=30)

    def forecast(self, as_of: date = AS_OF, horizon: int = 5, ticker: str = "") -> httpx.Response:
        request = {"ticker": ticker or self.ticker, "as_of": as_of.isoformat(), "horizon": horizon}
        return httpx.post(f"{self.server.url}{FORECAST_FROM}", json=request, timeout=30)

    def quality(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.server.url}/quality/stock_forecast?window=1h", timeout=30).json()
        return found


@contextmanager
def opened(home: Path, topology: str) -> Iterator[Shop]:
    with (
        serving(Yahoo(walk(200))) as yahoo,
        serve(
            home, MARMITA_TOPOLOGY=topology, MARMITA_RECORD="all", MARMITA_YAHOO_URL=f"http://{yahoo.address}"
        ) as server,
    ):
        yield Shop(server, yahoo)


@pytest.fixture(scope="module", params=TOPOLOGIES)
def shared_shop(
    request: pytest.FixtureRequest, champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    with opened(home(tmp_path_factory.mktemp("shop") / "home"), request.param) as shop:
        yield shop


@pytest.fixture
def shop(shared_shop: Shop) -> Shop:
    """The shared one with a stock that no other test asks for."""
    return replace(shared_shop, ticker=f"{TICKER}{next(NUMBERS)}")


def test_prices_are_fetched_once_and_forecast_from_as_if_it_were_that_day(shop: Shop) -> None:
    first, asked = shop.load(), shop.yahoo.prices_asked
    again = shop.load()
    shown = shop.shown(start=str(FIRST), end=str(AS_OF)).json()

    assert first.json() == {"ticker": shop.ticker, "fetched": 200, "days": 200, "labelled": 0}
    assert again.json() == {"ticker": shop.ticker, "fetched": 0, "days": 200, "labelled": 0}
    assert shop.yahoo.prices_asked == asked
    assert [day["day"] for day in shown["prices"]] == [str(day) for day in days(FIRST, 150)]

    closes = [bar.close for bar in shop.yahoo.bars]
    answer = shop.forecast().json()
    plain = {"series": [{"closes": closes[150 - WINDOW : 150], "horizon": 5}]}
    (same,) = httpx.post(f"{shop.server.url}{FORECAST}", json=plain).json()

    assert answer["as_of"] == str(AS_OF)
    assert answer["last_close"] == pytest.approx(closes[149])
    assert [step["day"] for step in answer["path"]] == [str(day) for day in days(FIRST, 155)[150:]]
    assert [step["actual"] for step in answer["path"]] == pytest.approx(closes[150:155])
    for step, expected in zip(answer["path"], same["path"], strict=True):
        assert {name: step[name] for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_forecast_is_labelled_by_the_prices_that_come_later(own_home: Path, topology: str) -> None:
    with opened(own_home, topology) as shop:
        shop.load(last=AS_OF)
        answer = shop.forecast().json()
        assert [step["actual"] for step in answer["path"]] == [None] * 5
        while not shop.quality()["rows"]:  # it is written within a second
            time.sleep(1)
        assert shop.quality()["labelled"] == 0

        later = shop.load().json()

        assert later["labelled"] == 10
        time.sleep(5)  # figures are not measured again sooner
        assert shop.quality()["labelled"] == 1


def test_a_day_without_enough_history_says_how_much_there_is(shop: Shop) -> None:
    shop.load()
    early, unknown = shop.forecast(as_of=days(FIRST, 30)[-1]), shop.forecast(ticker="OTHER")

    assert early.status_code == unknown.status_code == 400
    assert early.json()["code"] == unknown.json()["code"] == "not_enough_history"
    assert mentions(early.json()["error"], 30, WINDOW)
    assert mentions(unknown.json()["error"], "OTHER", 0, WINDOW)


@pytest.mark.parametrize("status", [404, 500])
def test_what_yahoo_does_not_give_is_a_502_and_changes_nothing(shop: Shop, status: int) -> None:
    shop.load(last=AS_OF)
    shop.yahoo.status = status
    try:
        failed = shop.load()
    finally:
        shop.yahoo.status = 200

    assert (failed.status_code, failed.json()["code"]) == (502, "prices_unavailable")
    assert mentions(failed.json()["error"], shop.ticker)
    assert shop.load(last=AS_OF).json()["days"] == 150


def test_a_yahoo_that_can_not_be_reached_is_told_from_one_without_prices(
    champions: dict[str, PackedModel], tmp_path: Path
) -> None:
    where_nobody_answers = f"http://127.0.0.1:{free_port()}"
    with serve(home(tmp_path / "home"), MARMITA_YAHOO_URL=where_nobody_answers) as server:
        failed = Shop(server, Yahoo([])).load()

    assert (failed.status_code, failed.json()["code"]) == (502, "prices_unavailable")
    assert mentions(failed.json()["error"], TICKER, "MARMITA_YAHOO_URL")


def test_what_makes_no_sense_is_refused_by_name(shop: Shop) -> None:
    assert shop.load(first=LAST, last=FIRST).status_code == 400
    assert shop.load(ticker="no such thing").json()["detail"][0]["loc"] == ["ticker"]
    assert shop.shown().json()["code"] == "invalid_request"
    assert mentions(shop.shown().json()["error"], "start", "?start=")
    assert shop.shown(start="yesterday", end="2020-01-01").status_code == 400
    nothing = {"start": str(FIRST), "end": str(FIRST + timedelta(days=3))}
    assert shop.shown(**nothing).status_code == 404
