"""A local stub of Yahoo's chart endpoint, behind the real yfinance."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pandas as pd
import requests
from requests.adapters import HTTPAdapter

from marmita.records.prices.bars import Bar

NOTHING = {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}
OPENING = 34_200
META = {
    "currency": "USD",
    "symbol": "TEST",
    "exchangeTimezoneName": "America/New_York",
    "timezone": "EST",
    "gmtoffset": -18_000,
    "instrumentType": "EQUITY",
    "dataGranularity": "1d",
    "priceHint": 2,
    "validRanges": ["1d", "max"],
}


class Redirected(HTTPAdapter):
    """Sends every request to the stub, whatever its host."""

    def __init__(self, stub: str) -> None:
        super().__init__()
        self._stub = stub

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        _, _, path, query, _ = urlsplit(str(request.url))
        request.url = urlunsplit(("http", self._stub, path, query, ""))
        return super().send(request, *args, **kwargs)


class Yahoo:
    """What Yahoo knows of a stock, and how it fails."""

    def __init__(self, bars: Sequence[Bar], status: int = 200, failures: float = math.inf) -> None:
        self.bars = bars
        self.status = status
        self.failures = failures
        """So many requests for a chart get the status, and the later ones get the chart."""
        self.answers = Event()
        """Cleared: requests are taken and not answered."""
        self.answers.set()
        self.asked = Event()
        self.prices_asked = 0
        """How often the prices of a range of days were asked for."""
        self.address = ""

    def chart(self, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        self.asked.set()
        self.prices_asked += "period1" in query
        self.answers.wait()
        if self.status != 200 and self.failures > 0:
            self.failures -= 1
            return self.status, NOTHING
        first, last = (
            float(query.get(name, [default])[0]) for name, default in (("period1", "-inf"), ("period2", "inf"))
        )
        return 200, _chart([bar for bar in self.bars if first <= _opening(bar.day) < last])


@contextmanager
def serving(yahoo: Yahoo) -> Iterator[Yahoo]:
    """The stub at work at its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = urlsplit(self.path)[2:4]
            code, body = 200, b"crumb"
            if "/chart/" in path:
                code, chart = yahoo.chart(parse_qs(query))
                body = json.dumps(chart).encode()
            elif "/finance/" in path:
                code, body = 404, json.dumps({"quoteSummary": NOTHING["chart"]}).encode()
            try:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Set-Cookie", "A3=stub; Max-Age=3600")
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                pass  # who asked is gone

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        yahoo.address = f"127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield yahoo
        finally:
            yahoo.answers.set()
            server.shutdown()
            thread.join()


@contextmanager
def yahoo(closes: pd.Series, status: int = 200) -> Iterator[requests.Session]:
    """A session whose Yahoo knows these closes, or fails with a status."""
    with serving(Yahoo(bars_of(closes), status)) as stub, requests.Session() as session:
        session.status = status  # type: ignore[attr-defined]
        session.mount("https://", Redirected(stub.address))
        session.mount("http://", Redirected(stub.address))
        yield session


def bars_of(closes: pd.Series) -> list[Bar]:
    """Days on which the price did not move after the opening."""
    days = zip(pd.DatetimeIndex(closes.index).date, closes.tolist(), strict=True)
    return [Bar(day, close, close, close, close, 1000) for day, close in days]


def _chart(bars: Sequence[Bar]) -> dict[str, Any]:
    prices = {name: [_number(getattr(bar, name)) for bar in bars] for name in ("open", "high", "low", "close")}
    quote = prices | {"volume": [bar.volume for bar in bars]}
    result = {
        "meta": META,
        "timestamp": [_opening(bar.day) for bar in bars],
        "events": {
            "dividends": {str(_opening(bar.day)): _dividend(bar) for bar in bars if bar.dividend},
            "splits": {str(_opening(bar.day)): _split(bar) for bar in bars if bar.split != 1},
        },
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": prices["close"]}]},
    }
    return {"chart": {"result": [result], "error": None}}


def _dividend(bar: Bar) -> dict[str, float]:
    return {"amount": bar.dividend, "date": _opening(bar.day)}


def _split(bar: Bar) -> dict[str, Any]:
    ratio = {"numerator": bar.split, "denominator": 1.0, "splitRatio": f"{bar.split:g}:1"}
    return ratio | {"date": _opening(bar.day)}


def _opening(day: date) -> int:
    return int(pd.Timestamp(day, tz="America/New_York").timestamp()) + OPENING


def _number(value: float) -> float | None:
    """As Yahoo has it: what is not known is null."""
    return None if math.isnan(value) else value
