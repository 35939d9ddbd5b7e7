"""Daily closes, from the reference file or from Yahoo Finance, adjusted for splits and dividends."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yfinance

from records import yahoo
from records.bars import PricesError as PricesError
from training.data import FOLDER, Doubles, fingerprint


@dataclass(frozen=True)
class Closes:
    """One close a day, oldest first."""

    values: Doubles
    days: pd.DatetimeIndex
    source: str
    licence: str
    fingerprint: str


def read(path: Path = FOLDER / "msft_daily.csv") -> Closes:
    """The reference file: MSFT, 2000 to 2013. Its `Close` halves when a share is split, its `Adj Close` does not."""
    table = pd.read_csv(path, parse_dates=["Date"], index_col="Date")
    return _checked(table["Adj Close"], f"{path.name}: MSFT, Quandl WIKI", "public domain")


def fetch(ticker: str, start: str, end: str, session: Any = None) -> Closes:
    """From Yahoo Finance."""
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
        raise PricesError(yahoo.no_prices(ticker, start, end, why))
    return _checked(table["Close"], f"Yahoo Finance: {ticker}, {start} to {end}", "Yahoo's terms of use")


def _checked(series: pd.Series, source: str, licence: str) -> Closes:
    closes = series.astype(float).sort_index()
    if closes.index.has_duplicates:
        raise PricesError(f"{source}: {closes.index[closes.index.duplicated()][0]:%Y-%m-%d} occurs twice")
    bad = closes[~(np.isfinite(closes) & (closes > 0))]
    if len(bad):
        raise PricesError(f"{source}: the close of {bad.index[0]:%Y-%m-%d} is {bad.iloc[0]}, not a positive number")
    days = pd.DatetimeIndex(closes.index)
    return Closes(np.asarray(closes, dtype=np.float64), days, source, licence, fingerprint(closes))
