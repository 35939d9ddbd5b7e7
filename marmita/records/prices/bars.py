"""Daily bars of a stock, and what they must be like before anyone may trust them."""

import math
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

DAY = timedelta(days=1)

_ROUNDING = 0.002
"""The four prices of a day are rounded, each by itself: a close may lie that much above its day's high."""
LONGEST_PAUSE = timedelta(days=45)
"""No exchange is closed for longer, and no trade in a stock that goes on is halted for longer as a rule."""
_SMALLEST_SPLIT = math.log(1.25)
"""What a smaller one does to the price can't be told from a day's trade."""

SCALED = ("open", "high", "low", "close", "dividend")
"""What a split divides. The volume it multiplies."""

Span = tuple[date, date]
"""The first and the last day."""


class PricesError(Exception):
    """Prices that can't be had or can't be trusted."""


class Bar(NamedTuple):
    """One stock's day, adjusted for splits and not for dividends."""

    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int
    dividend: float = 0.0
    """Paid to those who held the share the day before."""
    split: float = 1.0
    """New shares for one old share."""

    def rescaled(self, ratio: float) -> "Bar":
        """The same day, told in shares of which `ratio` make one of these."""
        prices = {name: getattr(self, name) / ratio for name in SCALED}
        return self._replace(**prices, volume=round(self.volume * ratio))


def within(bars: Iterable[Bar], spans: Sequence[Span]) -> list[Bar]:
    return [bar for bar in bars if any(first <= bar.day <= last for first, last in spans)]


def is_broken(before: date, after: date) -> bool:
    """Whether more days without trade lie between two days than can be a pause."""
    return after - before - DAY > LONGEST_PAUSE


def settled(bars: Sequence[Bar], spans: Iterable[Span]) -> list[Span]:
    """The parts of the spans of which nothing is to come any more. The bars are all there are until now.

    The source may have a day's bar late. Whether a day without one is late or had no trade is known as soon as there is
    a newer one, or when nothing has come for so long that the stock has ended.
    """
    newest = bars[-1].day
    ends = [(first, last if newest > last or is_broken(newest, last + DAY) else newest) for first, last in spans]
    return [(first, end) for first, end in ends if first <= end]


def check(ticker: str, bars: Sequence[Bar], spans: Sequence[Span]) -> None:
    """Whether these can be trusted about all days of the spans. Other days' bars are there for comparison."""
    if not bars:
        raise PricesError(f"{ticker}: no prices from {spans[0][0]} to {spans[-1][1]}, nor any later ones")
    for before, bar in pairwise(bars):
        if bar.day <= before.day:
            wrong = "occurs twice" if bar.day == before.day else f"comes after {before.day}"
            raise PricesError(f"{ticker}: {bar.day} {wrong}")
    judged = set(within(bars, spans))
    for bar in bars:
        if bar in judged:
            _check_values(ticker, bar)
    for before, bar in pairwise(bars):
        if bar in judged:
            _check_step(ticker, before, bar)
    _check_pauses(ticker, [bar.day for bar in bars], spans)


def _check_values(ticker: str, bar: Bar) -> None:
    for name in ("open", "high", "low", "close", "split"):
        value = getattr(bar, name)
        if not (math.isfinite(value) and value > 0):
            raise PricesError(f"{ticker}: the {name} of {bar.day} is {value}, not a positive number")
    for name in ("volume", "dividend"):
        value = getattr(bar, name)
        if not (math.isfinite(value) and value >= 0):
            raise PricesError(f"{ticker}: the {name} of {bar.day} is {value}")
    lowest, highest = bar.low * (1 - _ROUNDING), bar.high * (1 + _ROUNDING)
    for name in ("open", "close"):
        value = getattr(bar, name)
        if not lowest <= value <= highest:
            raise PricesError(
                f"{ticker}: the {name} of {bar.day} is {value}, outside that day's range from {bar.low} to {bar.high}"
            )


def _check_step(ticker: str, before: Bar, bar: Bar) -> None:
    """What a day must be like after the day before it."""
    if bar.dividend >= before.close:
        raise PricesError(
            f"{ticker}: the dividend of {bar.day} is {bar.dividend}, and the share was worth {before.close}"
        )
    expected = math.log(bar.split)
    jump = math.log(before.close / bar.open) if before.close > 0 else 0.0
    if abs(expected) >= _SMALLEST_SPLIT and abs(jump - expected) < 0.3 * abs(expected):
        raise PricesError(
            f"{ticker}: from {before.close} to {bar.open} on {bar.day}, the day of a split into {bar.split:g}: "
            "the prices before it are not adjusted"
        )


def _check_pauses(ticker: str, days: Sequence[date], spans: Sequence[Span]) -> None:
    """Days without trade between others: so many of them were lost, or were no pause but an end and a beginning."""
    for before, after in pairwise(days):
        asked = any(first < after and before < last for first, last in spans)
        if asked and is_broken(before, after):
            raise PricesError(
                f"{ticker}: no prices between {before} and {after}, which is longer than an exchange is closed: "
                f"load the days until {before} and those from {after} on, each by themselves"
            )
