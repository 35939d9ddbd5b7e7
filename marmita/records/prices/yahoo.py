"""Daily bars from Yahoo Finance.

A subprocess fetches them. It keeps pandas and curl out of the calling process, and a hanging fetch can be killed.
`python -m marmita.records.prices.yahoo MSFT 2013-01-02 2013-02-01` prints them as JSON.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from marmita.records.prices.bars import DAY, Bar, PricesError

MIRROR = "MARMITA_YAHOO_URL"
"""The environment variable with the address of a mirror or gateway for all requests to Yahoo."""

_ROOT = Path(__file__).parents[3]
_SUBPROCESS_SLOTS = BoundedSemaphore(2)
"""The limit of concurrent subprocesses. Each takes 130 MB and one or two seconds of CPU time."""


class UnknownTickerError(PricesError):
    """A ticker of which Yahoo Finance has no prices. A retry does not help."""


class UnreachableError(PricesError):
    """A failed connection to Yahoo Finance."""


_ERRORS = {"unknown": UnknownTickerError, "unreachable": UnreachableError, "failed": PricesError}
"""The errors by their names in the subprocess's answer."""


def fetch(ticker: str, first: date, last: date, timeout_s: float) -> list[Bar]:
    """Fetch all bars from the first day to the last, oldest first, without validation."""
    deadline = time.monotonic() + timeout_s
    late = PricesError(f"Yahoo Finance gave no prices of {ticker} within {timeout_s:.1f} s")
    if not _SUBPROCESS_SLOTS.acquire(timeout=max(timeout_s, 0)):
        raise late
    try:
        answer = _run_subprocess(ticker, first, last, deadline - time.monotonic())
    except subprocess.TimeoutExpired:
        raise late from None
    finally:
        _SUBPROCESS_SLOTS.release()
    if error := answer.get("error"):
        raise _ERRORS[answer["kind"]](error)
    return [Bar(date.fromisoformat(day), *numbers) for day, *numbers in answer["bars"]]


def _run_subprocess(ticker: str, first: date, last: date, timeout_s: float) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "marmita.records.prices.yahoo",
        ticker,
        str(first),
        str(last),
        f"{timeout_s + 1:.3f}",
    ]
    with TemporaryDirectory(prefix="marmita-yahoo-") as folder:
        done = subprocess.run(  # noqa: S603  the ticker has been checked, and there is no shell
            command,
            cwd=_ROOT,
            env=_environment() | {"TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    if done.returncode:
        output = done.stderr.decode(errors="replace").strip().splitlines() or ["no output"]
        raise PricesError(f"prices of {ticker} could not be fetched: {output[-1][:300]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _environment() -> dict[str, str]:
    """Return the subprocess's environment, without API keys and the database's password."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MARMITA_") or name == MIRROR}


class Reasons(logging.Handler):
    """A log handler that collects yfinance's errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.add(record.getMessage())

    def add(self, text: str) -> None:
        line = " ".join(text.split())
        if line and line not in self.lines:
            self.lines.append(line)

    def __str__(self) -> str:
        return "; ".join(self.lines)[:300]


@contextmanager
def reasons() -> Iterator[Reasons]:
    """Collect yfinance's log. After any error it returns an empty table, and only the log has the cause."""
    kept = Reasons()
    logger = logging.getLogger("yfinance")
    logger.addHandler(kept)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield kept
    finally:
        logger.removeHandler(kept)


def no_prices(ticker: str, first: object, last: object, why: Reasons) -> str:
    return f"Yahoo Finance has no prices of {ticker} from {first} to {last}" + _because(why)


def unreachable(ticker: str, why: Reasons) -> str:
    place = "the address in MARMITA_YAHOO_URL" if os.environ.get(MIRROR) else "the network"
    return f"Yahoo Finance can't be reached for the prices of {ticker}: check {place}" + _because(why)


def _because(why: Reasons) -> str:
    return f" ({why})" if why.lines else ""


def download(ticker: str, first: date, last: date) -> dict[str, Any]:
    """Return Yahoo Finance's answer: `bars`, or an `error` with its `kind`."""
    import yfinance

    session = make_session()
    with TemporaryDirectory() as cache, reasons() as why:
        yfinance.set_tz_cache_location(cache)
        table = None
        try:
            table = yfinance.Ticker(ticker, session=session).history(
                start=first, end=last + DAY, auto_adjust=False, actions=True
            )
        except Exception as error:  # yfinance has many kinds of errors
            why.add(str(error) or type(error).__name__)
    if session.status >= 400:
        why.add(f"its answer was {session.status}")
    if table is None or table.empty:
        if not session.status:  # no request for prices was answered
            return {"error": unreachable(ticker, why), "kind": "unreachable"}
        kind = "unknown" if session.status == 404 else "failed"
        return {"error": no_prices(ticker, first, last, why), "kind": kind}
    columns = ("Open", "High", "Low", "Close", "Volume", "Dividends", "Stock Splits")
    rows = zip(table.index.date, *(table[name].tolist() for name in columns), strict=True)
    return {"bars": [(str(day), *numbers, split or 1.0) for day, *numbers, split in rows]}


def make_session() -> Any:
    """Return a curl session like yfinance's own, with the `status` of the last answer about prices.

    The status is 0 before the first answer.
    """
    from curl_cffi import requests

    mirror = _mirror_url()

    class Session(requests.Session):  # type: ignore[type-arg]
        status = 0

        def request(self, method: Any, url: str, *args: Any, **options: Any) -> Any:
            response = super().request(method, _redirect(url, mirror), *args, **options)
            if "/chart/" in url:
                self.status = response.status_code
            return response

    return Session(impersonate="chrome")


def _mirror_url() -> SplitResult | None:
    mirror = urlsplit(os.environ.get(MIRROR, ""))
    if not mirror.netloc:
        return None
    if mirror.scheme != "https" and not (mirror.scheme == "http" and _is_loopback(mirror.hostname or "")):
        raise PricesError(f"{MIRROR} must begin with https://, unless it is an address of this machine")
    return mirror


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _redirect(url: str, mirror: SplitResult | None) -> str:
    if mirror is None:
        return url
    path, query = urlsplit(url)[2:4]
    return urlunsplit((mirror.scheme, mirror.netloc, mirror.path.rstrip("/") + path, query, ""))


def main(arguments: Sequence[str]) -> None:
    ticker, first, last, *seconds = arguments
    if seconds:  # a limit that holds even if the parent process has died
        signal.setitimer(signal.ITIMER_REAL, float(seconds[0]))
    try:
        answer = download(ticker, date.fromisoformat(first), date.fromisoformat(last))
    except PricesError as error:
        answer = {"error": str(error), "kind": "failed"}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
