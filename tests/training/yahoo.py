"""A local stub of Yahoo's chart endpoint, behind the real yfinance."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pandas as pd
import requests
from requests.adapters import HTTPAdapter

NOTHING = {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}


class Redirected(HTTPAdapter):
    """Sends every request to the stub, whatever its host."""

    def __init__(self, stub: str) -> None:
        super().__init__()
        self._stub = stub

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        _, _, path, query, _ = urlsplit(str(request.url))
        request.url = urlunsplit(("http", self._stub, path, query, ""))
        return super().send(request, *args, **kwargs)


@contextmanager
def yahoo(closes: pd.Series, status: int = 200) -> Iterator[requests.Session]:
    """A session whose Yahoo knows these closes, or fails with a status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/chart/" in self.path:
                body, code = json.dumps(_chart(closes) if status == 200 else NOTHING).encode(), status
            else:
                body, code = b"crumb", 200
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Set-Cookie", "A3=stub; Max-Age=3600")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, requests.Session() as session:
        session.mount("https://", Redirected(f"127.0.0.1:{server.server_port}"))
        session.mount("http://", Redirected(f"127.0.0.1:{server.server_port}"))
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield session
        finally:
            server.shutdown()
            thread.join()


def _chart(closes: pd.Series) -> dict[str, Any]:
    days = [int(pd.Timestamp(day, tz="America/New_York").timestamp()) + 34_200 for day in closes.index]
    values = [None if pd.isna(close) else float(close) for close in closes]
    quote = dict.fromkeys(("open", "high", "low", "close"), values) | {"volume": [1000] * len(values)}
    meta = {
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
    indicators = {"quote": [quote], "adjclose": [{"adjclose": values}]}
    return {"chart": {"result": [{"meta": meta, "timestamp": days, "indicators": indicators}], "error": None}}
