"""Prices that are kept: on one scale, without a hole, and with no look at what came later."""

from datetime import date

import pytest
from sqlalchemy import delete, update

from marmita.records.database.database import Database
from marmita.records.database.tables import Price, PriceRange
from marmita.records.prices import prices
from marmita.records.prices.bars import DAY
from marmita.records.prices.prices import Closes, NotEnoughHistoryError, adjusted
from tests.records.stocks import FIRST, TICKER, bar, changed, days, everything, keep, kept, walk

BARS = walk(60)
LAST = BARS[-1].day
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = days(FIRST, 4)
FRIDAY, SATURDAY, SUNDAY = FIRST + 4 * DAY, FIRST + 5 * DAY, FIRST + 6 * DAY


def missing(database: Database, first: date, last: date) -> list[tuple[date, date]]:
    with database.reading() as session:
        return prices.missing(session, TICKER, first, last)


def history(database: Database, as_of: date, count: int) -> Closes:
    with database.reading() as session:
        return prices.history(session, TICKER, as_of, count)


def future(database: Database, as_of: date, count: int) -> Closes:
    with database.reading() as session:
        return prices.future(session, TICKER, as_of, count)


def test_bars_come_back_as_they_were_kept(database: Database) -> None:
    bars = changed(BARS, 5, dividend=0.25, split=1.5, volume=2**40)
    keep(database, bars)

    assert kept(database) == bars
    with database.reading() as session:
        assert prices.stored(session, TICKER, BARS[3].day, BARS[7].day) == bars[3:8]
        assert prices.count(session, TICKER, BARS[3].day, BARS[7].day) == 5
        assert prices.stored(session, "OTHER", BARS[3].day, BARS[7].day) == []


def test_to_keep_the_same_again_changes_nothing(database: Database) -> None:
    keep(database, BARS)
    before = everything(database)
    keep(database, BARS)

    assert everything(database) == before


def test_what_is_kept_stays_as_it_is(database: Database) -> None:
    keep(database, BARS)
    keep(database, changed(BARS, 7, close=BARS[7].close * 1.005))

    assert kept(database) == BARS


def test_bars_that_nobody_marked_as_fetched_are_replaced(database: Database) -> None:
    keep(database, BARS)
    with database.writing() as session:
        session.execute(delete(PriceRange))
    corrected = changed(BARS, 7, close=BARS[7].close * 1.005)
    keep(database, corrected)

    assert kept(database) == corrected


def test_all_days_are_missing_at_first(database: Database) -> None:
    assert missing(database, MONDAY, LAST) == [(MONDAY, LAST)]


def test_what_is_missing_lies_around_and_between_what_was_fetched(database: Database) -> None:
    first, second = (BARS[10].day, BARS[19].day), (BARS[30].day, BARS[39].day)
    keep(database, BARS, first, second)

    assert missing(database, MONDAY, LAST) == [
        (MONDAY, first[0] - DAY),
        (first[1] + DAY, second[0] - DAY),
        (second[1] + DAY, LAST),
    ]
    assert missing(database, first[0], first[1]) == []
    assert missing(database, first[0] + DAY, first[1] + DAY) == [(first[1] + DAY, first[1] + DAY)]
    assert missing(database, MONDAY, MONDAY) == [(MONDAY, MONDAY)]
    assert missing(database, second[1], second[0]) == []
    assert [one.day for one in kept(database)] == [one.day for one in BARS[10:20] + BARS[30:40]]


def test_ranges_that_touch_become_one(database: Database) -> None:
    for span in ((MONDAY, TUESDAY), (THURSDAY, FRIDAY), (BARS[20].day, LAST), (TUESDAY, THURSDAY), (SATURDAY, SUNDAY)):
        keep(database, BARS, span)

    with database.reading() as session:
        ranges = session.query(PriceRange.first_day, PriceRange.last_day).order_by(PriceRange.first_day).all()
    assert [tuple(one) for one in ranges] == [(MONDAY, SUNDAY), (BARS[20].day, LAST)]


def test_a_dividend_that_the_price_falls_by_is_no_loss() -> None:
    """100 yesterday, 98 today and 2 in the pocket; then half a day's gain of 49/98."""
    bars = [bar(MONDAY, 100), bar(TUESDAY, 98, dividend=2), bar(WEDNESDAY, 147)]

    assert adjusted(bars, WEDNESDAY) == pytest.approx([98, 98, 147])
    assert adjusted(bars, TUESDAY) == pytest.approx([98, 98, 147])
    assert adjusted(bars, MONDAY) == pytest.approx([100, 100, 150])
    assert adjusted([], MONDAY) == []


def test_history_ends_with_the_close_that_was_traded(database: Database) -> None:
    """By hand: 50 -> 60 with a dividend of 10 is a gain of 60/40; 60 -> 57 with one of 3 is none."""
    bars = [bar(MONDAY, 50), bar(TUESDAY, 60, dividend=10), bar(WEDNESDAY, 57, dividend=3), bar(THURSDAY, 58)]
    keep(database, bars)

    closes = history(database, WEDNESDAY, 3)
    assert closes.days == [MONDAY, TUESDAY, WEDNESDAY]
    assert closes.values == pytest.approx([38, 57, 57])
    assert history(database, WEDNESDAY, 2).values == pytest.approx([57, 57])
    assert history(database, TUESDAY, 1) == ([TUESDAY], [60])


def test_nothing_that_came_later_is_looked_at(database: Database) -> None:
    """Later days are changed beyond recognition, then deleted: the same history."""
    as_of = BARS[39].day
    bars = changed(BARS, 20, dividend=1.0)
    keep(database, changed(bars, 45, dividend=2.0))
    before = history(database, as_of, 30)

    with database.writing() as session:
        wild = {"open": 1.0, "high": 9.0, "low": 0.5, "close": 3.0, "dividend": 0.4, "split": 7.0, "volume": 1}
        session.execute(update(Price).where(Price.day > as_of).values(wild))
    assert history(database, as_of, 30) == before

    with database.writing() as session:
        session.execute(delete(Price).where(Price.day > as_of))
        session.execute(update(PriceRange).values(last_day=as_of))
    assert history(database, as_of, 30) == before

    with database.writing() as session:
        session.execute(update(Price).where(Price.day == as_of).values(close=Price.close * 1.1))
    assert history(database, as_of, 30) != before


def test_too_short_a_history_says_how_long_it_is(database: Database) -> None:
    keep(database, BARS)

    with pytest.raises(NotEnoughHistoryError, match=f" 12 days .*TEST .*{BARS[11].day}.* 60 "):
        history(database, BARS[11].day, 60)
    with pytest.raises(NotEnoughHistoryError, match=" 0 days"):
        history(database, MONDAY - DAY, 1)
    with pytest.raises(NotEnoughHistoryError, match=" 0 days"):
        history(database, date.max, 1)
    with pytest.raises(NotEnoughHistoryError, match=" 0 days"):
        history(database, date.min, 1)


def test_history_does_not_jump_over_days_that_were_never_fetched(database: Database) -> None:
    keep(database, BARS, (MONDAY, BARS[29].day), (BARS[31].day, LAST))

    with pytest.raises(NotEnoughHistoryError, match=" 29 days"):
        history(database, LAST, 30)
    assert len(history(database, LAST, 29).days) == 29
    with pytest.raises(NotEnoughHistoryError, match=" 0 days"):
        history(database, BARS[30].day, 1)


def test_history_goes_over_holidays_and_weekends(database: Database) -> None:
    """Wednesday was fetched and had no trade. The weekend was not fetched."""
    holiday = [one for one in BARS if one.day != WEDNESDAY]
    keep(database, holiday, (MONDAY, FRIDAY), (FIRST + 7 * DAY, LAST))

    assert history(database, SUNDAY, 4).days == [MONDAY, TUESDAY, THURSDAY, FRIDAY]
    assert history(database, WEDNESDAY, 2).days == [MONDAY, TUESDAY]
    assert history(database, FIRST + 7 * DAY, 2).days == [FRIDAY, FIRST + 7 * DAY]


def test_the_future_goes_on_where_history_ended(database: Database) -> None:
    """By hand: from 57 on, a dividend of 5 and a close of 52 are no change, and 104 is twice as much."""
    bars = [bar(MONDAY, 60), bar(TUESDAY, 57, dividend=3), bar(WEDNESDAY, 52, dividend=5), bar(THURSDAY, 104)]
    keep(database, bars)

    closes = future(database, TUESDAY, 10)
    assert closes.days == [WEDNESDAY, THURSDAY]
    assert closes.values == pytest.approx([57, 114])
    assert future(database, TUESDAY, 1).days == [WEDNESDAY]
    assert future(database, THURSDAY, 10) == ([], [])
    assert future(database, MONDAY - DAY, 10) == ([], [])
    assert future(database, date.max, 10) == ([], [])


def test_the_future_begins_after_the_last_day_with_trade(database: Database) -> None:
    keep(database, BARS)

    assert future(database, SUNDAY, 3) == future(database, FRIDAY, 3)
    assert future(database, FRIDAY, 3).days == [one.day for one in BARS[5:8]]
    assert future(database, FRIDAY, 3).values == pytest.approx([one.close for one in BARS[5:8]])


def test_neither_history_nor_the_future_goes_over_the_end_of_a_stock(database: Database) -> None:
    """All days were fetched, and on more of them than an exchange is closed there was no trade."""
    again = walk(10, first=LAST + 47 * DAY)
    keep(database, [*BARS, *again])

    assert history(database, LAST + 45 * DAY, 2).days == [one.day for one in BARS[-2:]]
    with pytest.raises(NotEnoughHistoryError, match=" 0 days"):
        history(database, LAST + 46 * DAY, 1)
    with pytest.raises(NotEnoughHistoryError, match=" 10 days"):
        history(database, again[-1].day, 11)
    assert future(database, BARS[-2].day, 10).days == [LAST]


def test_the_future_ends_where_days_were_never_fetched(database: Database) -> None:
    keep(database, BARS, (MONDAY, BARS[29].day), (BARS[31].day, LAST))

    assert future(database, BARS[25].day, 10).days == [one.day for one in BARS[26:30]]
