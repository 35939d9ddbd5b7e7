"""Loads missing prices from Yahoo Finance into the database."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from marmita.records.database.database import Database
from marmita.records.predictions import labels
from marmita.records.prices import prices, yahoo
from marmita.records.prices.bars import DAY, Bar, Span, check, settled, within
from marmita.records.prices.prices import NEW_YORK, PricesError
from marmita.records.prices.ticker import ticker_of

Fetch = Callable[[str, date, date, float], list[Bar]]
"""A function of a ticker, the first and the last day, and a time limit in seconds."""

BUDGET_S = 18.0

_BACKOFFS_S = (0.5, 1.5)
_MAX_ATTEMPT_S = 12.0
_MIN_ATTEMPT_S = 1.0
_OVERLAP = timedelta(days=14)
"""The overlap before the missing days. It distinguishes days without trade from the start of trading."""
_MAX_YEARS = 60
_FIRST_YEAR = 1900


class LoadResult(NamedTuple):
    """The result of `load`."""

    fetched: int
    """The number of bars that were fetched."""
    days: int
    """The number of bars that the database has of the requested days."""
    labelled: int
    """The number of steps of earlier forecasts that were labelled."""


def load(
    database: Database,
    ticker: str,
    first: date,
    last: date,
    fetch: Fetch = yahoo.fetch,
    budget_s: float = BUDGET_S,
    now: datetime | None = None,
) -> LoadResult:
    """Fetch the missing days, store all of them or, after an error, none, and label forecasts.

    A day ends when it ends in New York: the current day and later ones are not stored. Days that the source publishes
    late stay missing until then. `labels.label_all` writes the labels for which the budget leaves no time.
    """
    deadline = time.monotonic() + budget_s
    ticker, now = ticker_of(ticker), now or datetime.now(UTC)
    _check_days(first, last)
    today = now.astimezone(NEW_YORK).date()
    if first >= today:
        raise ValueError(f"none of the days from {first} to {last} is over: prices are loaded up to {today - DAY}")
    last = min(last, today - DAY)
    fetched = _fetch_missing(
        database, ticker, (first, last), now, lambda days: _fetch_with_retries(fetch, ticker, days, deadline)
    )
    labelled = labels.label_forecasts(database, ticker, deadline)
    with database.reading() as session:
        return LoadResult(fetched, prices.count(session, ticker, first, last), labelled)


def _fetch_missing(
    database: Database, ticker: str, days: Span, now: datetime, fetch: Callable[[Span], Sequence[Bar]]
) -> int:
    """Fetch and store the missing days. Return the number of fetched bars."""
    today = now.astimezone(NEW_YORK).date()
    with database.reading() as session:
        gaps = prices.missing(session, ticker, *days)
        if not gaps:
            return 0
        scaled_since = prices.scaled_since(session, ticker)
        # The last known day distinguishes a stock that is no longer traded from an unknown ticker.
        known = prices.last_before(session, ticker, gaps[0][0])
    # One request returns all days until now, with all splits that the prices are adjusted for.
    begin = min(gaps[0][0] - _OVERLAP, scaled_since or date.max, known or date.max)
    bars = _past_days(fetch((begin, today)), today)
    check(ticker, bars, gaps)
    with database.writing() as session:
        prices.keep(session, ticker, bars, settled(bars, gaps), now)
    return len(within(bars, gaps))


def _check_days(first: date, last: date) -> None:
    if first > last:
        raise ValueError(f"the first day, {first}, must not be after the last, {last}")
    if first.year < _FIRST_YEAR:
        raise ValueError(f"the first day, {first}, must not be before {_FIRST_YEAR}")
    if last.year - first.year > _MAX_YEARS:
        raise ValueError(f"from {first} to {last} are more than {_MAX_YEARS} years")


def _fetch_with_retries(fetch: Fetch, ticker: str, days: Span, deadline: float) -> list[Bar]:
    """Fetch bars, with retries until the deadline."""
    for pause in (*_BACKOFFS_S, None):
        try:
            return fetch(ticker, *days, min(_MAX_ATTEMPT_S, deadline - time.monotonic()))
        except yahoo.UnknownTickerError:
            raise
        except PricesError:
            if pause is None or time.monotonic() + pause + _MIN_ATTEMPT_S > deadline:
                raise
            time.sleep(pause)
    raise AssertionError


def _past_days(bars: Sequence[Bar], today: date) -> list[Bar]:
    """Return the bars of past days, without the effect of a split today, which counts from tomorrow on."""
    over = [bar for bar in bars if bar.day < today]
    for bar in bars:
        if bar.day >= today and bar.split not in (0, 1):
            over = [one.rescaled(1 / bar.split) for one in over]
    return over
