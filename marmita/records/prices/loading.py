"""Prices from Yahoo Finance into the database: what is missing, once."""

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
"""A ticker, the first and the last day, and how many seconds it may take."""

BUDGET_S = 18.0

_PAUSES_S = (0.5, 1.5)
_LONGEST_TRY_S = 12.0
_SHORTEST_TRY_S = 1.0
_MARGIN = timedelta(days=14)
"""So much is fetched before what is missing: with it, prices that begin and days without trade can be told apart."""
_MOST_YEARS = 60
_FIRST_YEAR = 1900


class LoadResult(NamedTuple):
    """What became of it."""

    fetched: int
    """Bars that were fetched now."""
    days: int
    """Bars that are there now."""
    labelled: int
    """Steps of earlier forecasts whose truth became known."""


def load(
    database: Database,
    ticker: str,
    first: date,
    last: date,
    fetch: Fetch = yahoo.fetch,
    budget_s: float = BUDGET_S,
    now: datetime | None = None,
) -> LoadResult:
    """Fetch the days that are missing, and keep all of them or, if anything is wrong, none. Then label forecasts.

    A day is not over before New York's is: from today on nothing is kept. Days whose bars the source has late are
    missing until it has them. Labels for which the budget leaves no time are left to `labels.label_all`.
    """
    deadline = time.monotonic() + budget_s
    ticker, now = ticker_of(ticker), now or datetime.now(UTC)
    _check_days(first, last)
    today = now.astimezone(NEW_YORK).date()
    if first >= today:
        raise ValueError(f"none of the days from {first} to {last} is over: prices are loaded up to {today - DAY}")
    last = min(last, today - DAY)
    fetched = _fetch_missing(
        database, ticker, (first, last), now, lambda days: _patiently(fetch, ticker, days, deadline)
    )
    labelled = labels.label_forecasts(database, ticker, deadline)
    with database.reading() as session:
        return LoadResult(fetched, prices.count(session, ticker, first, last), labelled)


def _fetch_missing(
    database: Database, ticker: str, days: Span, now: datetime, fetch: Callable[[Span], Sequence[Bar]]
) -> int:
    """Keep what is missing of these days. Returns how many bars came."""
    today = now.astimezone(NEW_YORK).date()
    with database.reading() as session:
        gaps = prices.missing(session, ticker, *days)
        if not gaps:
            return 0
        scaled_since = prices.scaled_since(session, ticker)
        # With its last day a stock that has ended is told from one that nobody knows.
        known = prices.last_before(session, ticker, gaps[0][0])
    # All days from there to now come with one request, and with them all splits that the prices are adjusted for.
    begin = min(gaps[0][0] - _MARGIN, scaled_since or date.max, known or date.max)
    bars = _final(fetch((begin, today)), today)
    check(ticker, bars, gaps)
    with database.writing() as session:
        prices.keep(session, ticker, bars, settled(bars, gaps), now)
    return len(within(bars, gaps))


def _check_days(first: date, last: date) -> None:
    if first > last:
        raise ValueError(f"the first day, {first}, must not be after the last, {last}")
    if first.year < _FIRST_YEAR:
        raise ValueError(f"the first day, {first}, must not be before {_FIRST_YEAR}")
    if last.year - first.year > _MOST_YEARS:
        raise ValueError(f"from {first} to {last} are more than {_MOST_YEARS} years")


def _patiently(fetch: Fetch, ticker: str, days: Span, deadline: float) -> list[Bar]:
    """What fails once may succeed a moment later."""
    for pause in (*_PAUSES_S, None):
        try:
            return fetch(ticker, *days, min(_LONGEST_TRY_S, deadline - time.monotonic()))
        except yahoo.UnknownTickerError:
            raise
        except PricesError:
            if pause is None or time.monotonic() + pause + _SHORTEST_TRY_S > deadline:
                raise
            time.sleep(pause)
    raise AssertionError


def _final(bars: Sequence[Bar], today: date) -> list[Bar]:
    """The days that are over, as they were before today's split. Tomorrow it counts like any other."""
    over = [bar for bar in bars if bar.day < today]
    for bar in bars:
        if bar.day >= today and bar.split not in (0, 1):
            over = [one.rescaled(1 / bar.split) for one in over]
    return over
