"""Bars that can be trusted, or an error that says why not."""

import math
from datetime import date, timedelta

import pytest

from marmita.records.prices.bars import Bar, PricesError, check, settled
from tests.messages import mentions
from tests.records.stocks import bar, changed, walk

BARS = walk(30)
ALL = [(BARS[0].day, BARS[-1].day)]
DAY = str(BARS[10].day)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"close": math.nan}, ["close", DAY, "nan"]),
        ({"open": math.inf}, ["open", DAY, "inf"]),
        ({"open": 0.0}, ["open", DAY, 0.0]),
        ({"low": -1.0}, ["low", DAY, -1.0]),
        ({"close": BARS[10].high * 1.01}, ["close", DAY, BARS[10].low, BARS[10].high]),
        ({"open": BARS[10].low * 0.99}, ["open", DAY, BARS[10].low, BARS[10].high]),
        ({"high": BARS[10].low * 0.5}, ["open", DAY, BARS[10].low, BARS[10].low * 0.5]),
        ({"volume": -1}, ["volume", DAY, -1]),
        ({"volume": math.nan}, ["volume", DAY, "nan"]),
        ({"dividend": -0.5}, ["dividend", DAY, -0.5]),
        ({"dividend": BARS[9].close}, ["dividend", DAY, BARS[9].close]),
        ({"split": 0.0}, ["split", DAY, 0.0]),
        ({"day": BARS[9].day}, [BARS[9].day, "twice"]),
        ({"day": BARS[8].day}, [BARS[8].day, BARS[9].day]),
    ],
)
def test_a_bar_that_can_not_be_is_named_with_its_day(wrong: dict[str, float], named: list[object]) -> None:
    with pytest.raises(PricesError, match=r"^TEST: ") as rejected:
        check("TEST", changed(BARS, 10, **wrong), ALL)

    assert mentions(str(rejected.value), *named)


def test_what_can_be_is_taken() -> None:
    check("TEST", BARS, ALL)
    check("TEST", changed(BARS, 10, dividend=1.5, volume=0), ALL)


def test_a_close_may_be_rounded_to_above_the_days_high() -> None:
    check("TEST", changed(BARS, 10, close=BARS[10].high * 1.001), ALL)


def test_days_that_nobody_asked_for_are_not_judged() -> None:
    check("TEST", changed(BARS, 10, close=math.nan), [(BARS[11].day, BARS[-1].day)])


@pytest.mark.parametrize("ratio", [2.0, 7.0, 1.5, 0.1])
def test_prices_that_jump_by_a_split_are_not_adjusted_for_it(ratio: float) -> None:
    adjusted = changed(BARS, 10, split=ratio)
    check("TEST", adjusted, ALL)

    before = [one.rescaled(1 / ratio) for one in adjusted[:10]]
    with pytest.raises(PricesError, match=r"^TEST: ") as rejected:
        check("TEST", before + adjusted[10:], ALL)
    assert mentions(str(rejected.value), before[-1].close, adjusted[10].open, DAY, "split", f"{ratio:g}")


def test_a_crash_without_a_split_is_a_crash() -> None:
    check("TEST", BARS[:10] + [one.rescaled(2) for one in BARS[10:]], ALL)


def after_a_pause(days: int) -> list[Bar]:
    """So many days without trade after the tenth bar."""
    shift = timedelta(days=days + 1) - (BARS[10].day - BARS[9].day)
    return BARS[:10] + [one._replace(day=one.day + shift) for one in BARS[10:]]


def test_lost_days_are_named_and_how_to_load_what_is_around_them() -> None:
    bars = after_a_pause(46)
    before, after = bars[9].day, bars[10].day
    assert (after - before).days == 47

    with pytest.raises(PricesError, match=f"^TEST: .* {before} .* {after}.*: .* {before} .* {after} "):
        check("TEST", bars, [(bars[0].day, bars[-1].day)])
    check("TEST", bars, [(bars[0].day, before)])
    check("TEST", bars, [(after, bars[-1].day)])


@pytest.mark.parametrize("days", [4, 12, 45])
def test_holidays_and_suspensions_are_not_lost_days(days: int) -> None:
    """Taiwan's exchange was closed for 12 days in January 2023."""
    bars = after_a_pause(days)
    check("TEST", bars, [(bars[0].day, bars[-1].day)])


def test_days_are_settled_up_to_the_last_bar_or_to_the_end_of_a_stock() -> None:
    first, newest = BARS[0].day, BARS[-1].day

    def end(days: int) -> date:
        return newest + timedelta(days=days)

    assert settled(BARS, [(first, end(-1))]) == [(first, end(-1))]
    assert settled(BARS, [(first, newest)]) == [(first, newest)]
    assert settled(BARS, [(first, first), (end(-1), end(1))]) == [(first, first), (end(-1), newest)]
    assert settled(BARS, [(end(1), end(45))]) == []
    assert settled(BARS, [(end(1), end(46))]) == [(end(1), end(46))]


def test_a_stock_may_begin_late() -> None:
    check("TEST", BARS[20:], ALL)


def test_lost_days_that_nobody_asked_for_do_not_matter() -> None:
    bars = after_a_pause(99)
    check("TEST", bars, [(bars[10].day, bars[-1].day)])


def test_the_same_day_in_other_shares() -> None:
    one = Bar(date(2020, 8, 31), 400.0, 440.0, 380.0, 420.0, 1000, 0.8, 4.0)

    assert one.rescaled(4) == Bar(date(2020, 8, 31), 100.0, 110.0, 95.0, 105.0, 4000, 0.2, 4.0)


def test_no_bars_at_all_are_an_error() -> None:
    with pytest.raises(PricesError, match=f"^TEST: .* {BARS[0].day} .* {BARS[-1].day}"):
        check("TEST", [], ALL)


def test_bars_of_one_price_can_be() -> None:
    check("TEST", [bar(BARS[0].day, 1e-6), bar(BARS[1].day, 1e6)], [(BARS[0].day, BARS[1].day)])
