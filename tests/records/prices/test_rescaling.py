"""Splits that become known later: what is kept is brought to the new scale, once."""

from datetime import UTC, date, datetime, timedelta

import pytest

from marmita.records.database.database import Database
from marmita.records.prices import prices
from marmita.records.prices.bars import DAY, Bar, PricesError
from marmita.records.prices.prices import Closes
from tests.records.stocks import FIRST, NOW, TICKER, bar, changed, days, everything, keep, kept, walk

BARS = walk(60)
LAST = BARS[-1].day
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = days(FIRST, 5)


OLD = [Bar(MONDAY, 80.0, 100.0, 60.0, 90.0, 1001, 0.0), Bar(TUESDAY, 80.0, 100.0, 60.0, 90.0, 1001, 2.0)]
HALVED = [Bar(MONDAY, 40.0, 50.0, 30.0, 45.0, 2002, 0.0), Bar(TUESDAY, 40.0, 50.0, 30.0, 45.0, 2002, 1.0)]
SPLIT = bar(WEDNESDAY, 45.0, split=2.0)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


def history(database: Database) -> Closes:
    with database.reading() as session:
        return prices.history(session, TICKER, BARS[39].day, 30)


def test_a_later_split_changes_the_scale_of_a_history_and_not_its_shape(database: Database) -> None:
    keep(database, BARS[:40], now=noon(BARS[39].day + DAY))
    before = history(database)
    later = [one.rescaled(2) for one in BARS[:50]] + changed(BARS[50:], 0, split=2.0)
    keep(database, later, (BARS[40].day, LAST), now=noon(LAST + DAY))

    after = history(database)
    assert after.values == pytest.approx([close / 2 for close in before.values])
    assert after.days == before.days


def test_what_was_fetched_before_a_split_is_rescaled_once(database: Database) -> None:
    keep(database, OLD, now=noon(WEDNESDAY) - DAY)
    keep(database, [*HALVED, SPLIT], (WEDNESDAY, WEDNESDAY), now=noon(THURSDAY))
    assert kept(database) == [*HALVED, SPLIT]

    keep(database, [*HALVED, SPLIT, bar(THURSDAY, 46.0)], (THURSDAY, THURSDAY), now=noon(FRIDAY))
    assert kept(database) == [*HALVED, SPLIT, bar(THURSDAY, 46.0)]


def test_what_was_fetched_on_the_day_of_a_split_is_rescaled(database: Database) -> None:
    keep(database, OLD, now=noon(WEDNESDAY))
    keep(database, [*HALVED, SPLIT], (WEDNESDAY, WEDNESDAY), now=noon(THURSDAY))

    assert kept(database) == [*HALVED, SPLIT]


def test_what_was_fetched_after_a_split_is_left_as_it_is(database: Database) -> None:
    keep(database, HALVED, now=noon(THURSDAY))
    keep(database, [*HALVED, SPLIT], (WEDNESDAY, WEDNESDAY), now=noon(THURSDAY))

    assert kept(database) == [*HALVED, SPLIT]


def test_two_splits_rescale_twice(database: Database) -> None:
    keep(database, OLD, now=noon(WEDNESDAY) - DAY)
    both = [one.rescaled(3) for one in [*HALVED, SPLIT]] + [bar(THURSDAY, 15.0, split=3.0)]
    keep(database, both, (WEDNESDAY, THURSDAY), now=noon(FRIDAY))

    assert [one.close for one in kept(database)] == pytest.approx([15.0, 15.0, 15.0, 15.0])
    assert [one.volume for one in kept(database)] == [6006, 6006, 3000, 1000]
    assert kept(database)[1].dividend == pytest.approx(1 / 3)


def test_a_split_rescales_its_own_stock_alone(database: Database) -> None:
    with database.writing() as session:
        prices.keep(session, "OTHER", OLD, [(MONDAY, TUESDAY)], noon(TUESDAY))
    keep(database, [*HALVED, SPLIT], now=noon(THURSDAY))

    with database.reading() as session:
        assert prices.stored(session, "OTHER", MONDAY, LAST) == OLD


def test_prices_on_another_scale_are_not_put_beside_those_that_are_kept(database: Database) -> None:
    keep(database, OLD, now=noon(WEDNESDAY) - DAY)
    before = everything(database)

    with pytest.raises(PricesError, match=r": .* 0\.5 .*split"):
        keep(database, [*HALVED, bar(WEDNESDAY, 45.0)], (WEDNESDAY, WEDNESDAY), now=noon(THURSDAY))
    assert everything(database) == before


def test_a_close_that_was_corrected_meanwhile_is_no_other_scale(database: Database) -> None:
    keep(database, BARS[:10])
    keep(database, changed(BARS, 5, close=BARS[5].close * 1.2), (BARS[10].day, LAST))

    assert kept(database) == BARS


def test_the_oldest_fetch_says_since_when_splits_may_be_unknown(database: Database) -> None:
    with database.reading() as session:
        assert prices.scaled_since(session, TICKER) is None
    keep(database, BARS[:10], now=NOW)
    with database.reading() as session:
        assert prices.scaled_since(session, TICKER) == NOW.date()
    keep(database, BARS, (BARS[20].day, LAST), now=NOW + timedelta(days=9))
    with database.reading() as session:
        assert prices.scaled_since(session, TICKER) == NOW.date() + timedelta(days=9)
