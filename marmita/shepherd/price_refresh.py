"""The price refresh: load missing prices up to yesterday, of the shepherd's stock and of all stocks with prices."""

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
"""How far back the prices of the shepherd's stock are loaded."""
BUDGET_S = 300.0
"""The time limit of a refresh. The next one loads what is left."""

log = logging.getLogger(__name__)


def refresh(
    database: Database, ticker: str, fetch: Fetch = yahoo.fetch, may_continue: Callable[[], bool] = lambda: True
) -> dict[str, str]:
    """Load missing prices, and label the forecasts of those days. Return the errors by stock."""
    deadline = time.monotonic() + BUDGET_S
    errors: dict[str, str] = {}
    for name, (first, last) in _missing_days(database, ticker):
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not may_continue():
            break
        try:
            loaded = loading.load(database, name, first, last, fetch, min(left_s, loading.BUDGET_S))
        except (PricesError, ValueError, OSError) as error:  # OSError: Yahoo's client writes files
            errors[name] = (error.strerror if isinstance(error, OSError) else None) or str(error)
            log.warning("price refresh of %s failed: %s", name, error)
        else:
            if loaded.fetched:
                log.info("price refresh of %s fetched %d days", name, loaded.fetched)
    return errors


def _missing_days(database: Database, ticker: str) -> Iterator[tuple[str, Span]]:
    """Yield stocks with their missing days: the shepherd's stock first, then the others in random order.

    The order is random so that a refresh that runs out of time does not always skip the same stocks.
    """
    yesterday = datetime.now(UTC).astimezone(prices.NEW_YORK).date() - DAY
    with database.reading() as session:
        kept: Sequence[str] = prices.tickers(session)
        newest = {name: prices.last_day(session, name) for name in kept}
    if ticker:
        yield ticker, (yesterday - HISTORY, yesterday)
    for name in sample(kept, len(kept)):
        if name != ticker and (last := newest[name]) is not None and last < yesterday:
            yield name, (last + DAY, yesterday)
