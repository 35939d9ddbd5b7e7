"""Daily closes, from the reference file, from Yahoo Finance or from the database, adjusted for splits and dividends."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yfinance

from marmita.records.prices import prices as records
from marmita.records.prices import yahoo
from marmita.records.prices.bars import PricesError as PricesError
from marmita.records.prices.ticker import ticker_of
from marmita.runtime.recording import database
from marmita.training.examples import Doubles, fingerprint
from training import DATA


@dataclass(frozen=True)
class Closes:
    """A series of daily closes, oldest first, with its source."""

    values: Doubles
    days: pd.DatetimeIndex
    source: str
    licence: str
    fingerprint: str


def read(path: Path = DATA / "msft_daily.csv") -> Closes:
    """Return the closes of the reference file: MSFT, 2000 to 2013, adjusted for splits (`Adj Close`)."""
    table = pd.read_csv(path, parse_dates=["Date"], index_col="Date")
    return _checked(table["Adj Close"], f"{path.name}: MSFT, Quandl WIKI", "public domain")


def fetch(ticker: str, start: str, end: str, session: Any = None) -> Closes:
    """Return closes from Yahoo Finance."""
    session = session or yahoo.make_session()
    with yahoo.reasons() as why:
        table = yfinance.download(
            ticker,
            start=start,
            end=end,
            auto_adjust=True,
            progress=False,
            threads=False,
            multi_level_index=False,
            session=session,
        )
    if table is None or table.empty:
        if not session.status:
            raise yahoo.UnreachableError(yahoo.unreachable(ticker, why))
        raise PricesError(yahoo.no_prices(ticker, start, end, why))
    return _checked(table["Close"], f"Yahoo Finance: {ticker}, {start} to {end}", "Yahoo's terms of use")


def stored(ticker: str) -> Closes:
    """Return the closes in the database: the days without a gap up to the newest one."""
    try:
        ticker = ticker_of(ticker)
    except ValueError as error:
        raise PricesError(str(error)) from None
    with database().reading() as session:
        found = records.newest(session, ticker)
    if not found.days:
        raise PricesError(
            f"no prices of {ticker} are stored: load them with `python -m marmita prices load {ticker} FIRST LAST`"
        )
    source = f"Yahoo Finance, kept in the records: {ticker}, {found.days[0]} to {found.days[-1]}"
    return _checked(pd.Series(found.values, index=pd.DatetimeIndex(found.days)), source, "Yahoo's terms of use")


def _checked(series: pd.Series, source: str, licence: str) -> Closes:
    closes = series.astype(float).sort_index()
    if closes.index.has_duplicates:
        raise PricesError(f"{source}: {closes.index[closes.index.duplicated()][0]:%Y-%m-%d} occurs twice")
    bad = closes[~(np.isfinite(closes) & (closes > 0))]
    if len(bad):
        raise PricesError(f"{source}: the close of {bad.index[0]:%Y-%m-%d} is {bad.iloc[0]}, not a positive number")
    days = pd.DatetimeIndex(closes.index)
    return Closes(np.asarray(closes, dtype=np.float64), days, source, licence, fingerprint(closes))
