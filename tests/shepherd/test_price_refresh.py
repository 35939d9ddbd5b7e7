"""Prices are brought up to yesterday, of the first stock for years back, and of the others since their last day."""

from datetime import UTC, date, datetime, timedelta
from errno import ENOSPC

import pytest

from marmita.records.database.database import Database
from marmita.records.prices import prices
from marmita.records.prices.bars import Bar, PricesError
from marmita.records.prices.prices import NEW_YORK
from marmita.shepherd import price_refresh
from marmita.shepherd.price_refresh import HISTORY, refresh
from tests.records.stocks import TICKER, Source, keep, walk

DAY = timedelta(days=1)


@pytest.fixture
def yesterday() -> date:
    return datetime.now(UTC).astimezone(NEW_YORK).date() - DAY


@pytest.fixture
def bars(yesterday: date) -> list[Bar]:
    """A young stock."""
    return [bar for bar in walk(300, yesterday - 400 * DAY) if bar.day <= yesterday]


def newest(database: Database) -> date | None:
    with database.reading() as session:
        return prices.last_day(session, TICKER)


def test_the_first_time_all_years_are_fetched_and_later_what_is_missing(
    database: Database, bars: list[Bar], yesterday: date
) -> None:
    source = Source(bars[:-5])
    assert refresh(database, TICKER, source) == {}
    assert newest(database) == bars[-6].day
    assert source.asked[0][0] <= yesterday - HISTORY

    source.bars = bars
    assert refresh(database, TICKER, source) == {}
    assert newest(database) == bars[-1].day
    assert source.asked[1][0] > bars[-60].day


def test_other_stocks_go_on_from_their_last_day(database: Database, bars: list[Bar]) -> None:
    keep(database, bars[-30:-5])

    assert refresh(database, "", Source(bars)) == {}

    assert newest(database) == bars[-1].day
    with database.reading() as session:
        assert len(prices.stored(session, TICKER, date.min, date.max)) == 30


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PricesError("Yahoo is gone"), "Yahoo is gone"),
        (OSError(ENOSPC, "No space left on device", "/tmp/yahoo"), "No space left on device"),
    ],
    ids=["yahoo", "disk"],
)
def test_prices_that_can_not_be_had_are_told_and_nothing_is_lost(
    database: Database, bars: list[Bar], monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    monkeypatch.setattr("marmita.records.prices.loading._BACKOFFS_S", ())
    keep(database, bars[:-5])

    assert refresh(database, TICKER, Source(bars, [error])) == {TICKER: said}
    assert newest(database) == bars[-6].day


def test_who_has_lost_the_lease_or_has_no_time_left_fetches_nothing(
    database: Database, bars: list[Bar], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(bars)
    refresh(database, TICKER, source, lambda: False)
    monkeypatch.setattr(price_refresh, "BUDGET_S", 0)
    refresh(database, TICKER, source)

    assert source.asked == []


def test_without_a_stock_nothing_is_fetched(database: Database) -> None:
    source = Source([])

    assert refresh(database, "", source) == {}
    assert source.asked == []
