"""Prices are loaded, looked at, forecast from, and label the forecasts."""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.stock_forecast.contract import WINDOW
from tests.e2e.server import Server, serve
from tests.records.stocks import FIRST, TICKER, days, walk
from tests.samples import FORECAST
from tests.training.yahoo import Yahoo, serving

pytestmark = pytest.mark.timeout(180)

LAST = days(FIRST, 200)[-1]
AS_OF = days(FIRST, 150)[-1]
FORECAST_FROM = "/stock-forecast/forecast-from"


@pytest.fixture
def yahoo() -> Iterator[Yahoo]:
    """A stock of 200 days."""
    with serving(Yahoo(walk(200))) as stub:
        yield stub


@pytest.fixture(params=["colocated", "split"])
def server(request: pytest.FixtureRequest, own_home: Path, yahoo: Yahoo) -> Iterator[Server]:
    variables = {"MARMITA_TOPOLOGY": request.param, "MARMITA_YAHOO_URL": f"http://{yahoo.address}"}
    with serve(own_home, MARMITA_RECORD="all", **variables) as server:
        yield server


def load(server: Server, first: date = FIRST, last: date = LAST, ticker: str = TICKER) -> httpx.Response:
    request = {"ticker": ticker, "start": first.isoformat(), "end": last.isoformat()}
    return httpx.post(f"{server.url}/prices/load", json=request, timeout=60)


def forecast(server: Server, as_of: date = AS_OF, horizon: int = 5, ticker: str = TICKER) -> httpx.Response:
    request = {"ticker": ticker, "as_of": as_of.isoformat(), "horizon": horizon}
    return httpx.post(f"{server.url}{FORECAST_FROM}", json=request, timeout=30)


def quality(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/quality/stock_forecast?window=1h", timeout=30).json()
    return found


def test_prices_are_fetched_once_and_forecast_from_as_if_it_were_that_day(server: Server, yahoo: Yahoo) -> None:
    first, asked = load(server), yahoo.prices_asked
    again = load(server)
    shown = httpx.get(f"{server.url}/prices", params={"ticker": TICKER, "start": str(FIRST), "end": str(AS_OF)}).json()

    assert first.json() == {"ticker": TICKER, "fetched": 200, "days": 200, "labelled": 0}
    assert again.json() == {"ticker": TICKER, "fetched": 0, "days": 200, "labelled": 0}
    assert yahoo.prices_asked == asked
    assert [day["day"] for day in shown["prices"]] == [str(day) for day in days(FIRST, 150)]

    closes = [bar.close for bar in yahoo.bars]
    answer = forecast(server).json()
    plain = {"series": [{"closes": closes[150 - WINDOW : 150], "horizon": 5}]}
    (same,) = httpx.post(f"{server.url}{FORECAST}", json=plain).json()

    assert answer["as_of"] == str(AS_OF)
    assert answer["last_close"] == pytest.approx(closes[149])
    assert [step["day"] for step in answer["path"]] == [str(day) for day in days(FIRST, 155)[150:]]
    assert [step["actual"] for step in answer["path"]] == pytest.approx(closes[150:155])
    for step, expected in zip(answer["path"], same["path"], strict=True):
        assert {name: step[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_a_forecast_is_labelled_by_the_prices_that_come_later(server: Server) -> None:
    load(server, last=AS_OF)
    answer = forecast(server).json()
    assert [step["actual"] for step in answer["path"]] == [None] * 5
    while not quality(server)["rows"]:  # it is written within a second
        time.sleep(1)
    assert quality(server)["labelled"] == 0

    later = load(server).json()

    assert later["labelled"] == 10
    time.sleep(5)  # figures are not measured again sooner
    assert quality(server)["labelled"] == 1


def test_a_day_without_enough_history_says_how_much_there_is(server: Server) -> None:
    load(server)
    early, unknown = forecast(server, as_of=days(FIRST, 30)[-1]), forecast(server, ticker="OTHER")

    assert early.status_code == unknown.status_code == 400
    assert "30" in early.json()["error"]
    assert str(WINDOW) in early.json()["error"]


@pytest.mark.parametrize("status", [404, 500])
def test_what_yahoo_does_not_give_is_a_502_and_changes_nothing(server: Server, yahoo: Yahoo, status: int) -> None:
    load(server, last=AS_OF)
    yahoo.status = status
    failed = load(server)
    yahoo.status = 200

    assert failed.status_code == 502
    assert TICKER in failed.json()["error"]
    assert load(server, last=AS_OF).json()["days"] == 150


def test_what_makes_no_sense_is_refused_by_name(server: Server) -> None:
    assert load(server, first=LAST, last=FIRST).status_code == 400
    assert load(server, ticker="no such thing").json()["detail"][0]["loc"] == ["ticker"]
    assert httpx.get(f"{server.url}/prices", params={"ticker": TICKER}).json()["error"] == "start is missing: ?start="
    long_ago = {"ticker": TICKER, "start": "yesterday", "end": "2020-01-01"}
    assert httpx.get(f"{server.url}/prices", params=long_ago).status_code == 400
    nothing = {"ticker": TICKER, "start": str(FIRST), "end": str(FIRST + timedelta(days=3))}
    assert httpx.get(f"{server.url}/prices", params=nothing).status_code == 404
