"""Prices up to yesterday, of the stock that the forecaster learns from and of all others that are kept."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from random import sample

from marmita.records.database.database import Database
from marmita.records.prices import loading, prices, yahoo
from marmita.records.prices.bars import DAY, PricesError, Span
from marmita.records.prices.loading import Fetch

HISTORY = 15 * 366 * DAY
"""So far back the prices of the first stock reach."""
BUDGET_S = 300.0
"""So long it takes at most: what is left is for the next time."""

log = logging.getLogger(__name__)


def refresh(
    database: Database, ticker: str, fetch: Fetch = yahoo.fetch, may_go_on: Callable[[], bool] = lambda: True
) -> dict[str, str]:
    """Fetch what is missing, and label forecasts. Returns what is wrong with stocks whose prices could not be had."""
    deadline = time.monotonic() + BUDGET_S
    wrong: dict[str, str] = {}
    for name, (first, last) in _wanted(database, ticker):
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not may_go_on():
            break
        try:
            loaded = loading.load(database, name, first, last, fetch, min(left_s, loading.BUDGET_S))
        except (PricesError, ValueError, OSError) as error:  # Yahoo is asked with the help of files
            wrong[name] = (error.strerror if isinstance(error, OSError) else None) or str(error)
            log.warning("prices of %s could not be refreshed: %s", name, error)
        else:
            if loaded.fetched:
                log.info("%d days of prices of %s were fetched", loaded.fetched, name)
    return wrong


def _wanted(database: Database, ticker: str) -> Iterator[tuple[str, Span]]:
    """Stocks with the days that are wanted of them: the first one first, and the others in another order each time."""
    yesterday = datetime.now(UTC).astimezone(prices.NEW_YORK).date() - DAY
    with database.reading() as session:
        kept: Sequence[str] = prices.tickers(session)
        newest = {name: prices.last_day(session, name) for name in kept}
    if ticker:
        yield ticker, (yesterday - HISTORY, yesterday)
    for name in sample(kept, len(kept)):
        if name != ticker and (last := newest[name]) is not None and last < yesterday:
            yield name, (last + DAY, yesterday)
