"""Daily bars of a stock, and their validation."""

import math
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

DAY = timedelta(days=1)

_ROUNDING = 0.002
"""The tolerance for prices outside a day's range, as each price of a day is rounded separately."""
LONGEST_PAUSE = timedelta(days=45)
"""The longest period without trade in an active stock. Exchanges close and halt trade for less, as a rule."""
_SMALLEST_SPLIT = math.log(1.25)
"""The smallest split, as a logarithm, that is distinguishable from a usual daily move."""

SCALED = ("open", "high", "low", "close", "dividend")
"""The fields that a split divides. It multiplies the volume."""

Span = tuple[date, date]
"""The first and the last day."""


class PricesError(Exception):
    """Prices that are unavailable or invalid."""


class Bar(NamedTuple):
    """One day of a stock, adjusted for splits and not for dividends."""

    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int
    dividend: float = 0.0
    """The dividend for shares held on the day before."""
    split: float = 1.0
    """The number of new shares for one old share."""

    def rescaled(self, ratio: float) -> "Bar":
        """Return the bar on the scale of a split, by which one share becomes `ratio` shares."""
        prices = {name: getattr(self, name) / ratio for name in SCALED}
        return self._replace(**prices, volume=round(self.volume * ratio))


def within(bars: Iterable[Bar], spans: Sequence[Span]) -> list[Bar]:
    return [bar for bar in bars if any(first <= bar.day <= last for first, last in spans)]


def is_broken(before: date, after: date) -> bool:
    """Tell whether the gap between two days is longer than `LONGEST_PAUSE`."""
    return after - before - DAY > LONGEST_PAUSE


def settled(bars: Sequence[Bar], spans: Iterable[Span]) -> list[Span]:
    """Return the parts of the spans that are final. `bars` has all bars until now.

    The source may publish a day's bar late. A day without a bar is final once a newer bar exists, or once the gap is so
    long that the stock is no longer traded.
    """
    newest = bars[-1].day
    ends = [(first, last if newest > last or is_broken(newest, last + DAY) else newest) for first, last in spans]
    return [(first, end) for first, end in ends if first <= end]


def check(ticker: str, bars: Sequence[Bar], spans: Sequence[Span]) -> None:
    """Raise a `PricesError` if the bars are invalid on a day of the spans. Bars of other days are for comparison."""
    if not bars:
        raise PricesError(f"{ticker}: no prices from {spans[0][0]} to {spans[-1][1]}, nor any later ones")
    for before, bar in pairwise(bars):
        if bar.day <= before.day:
            wrong = "occurs twice" if bar.day == before.day else f"comes after {before.day}"
            raise PricesError(f"{ticker}: {bar.day} {wrong}")
    checked = set(within(bars, spans))
    for bar in bars:
        if bar in checked:
            _check_values(ticker, bar)
    for before, bar in pairwise(bars):
        if bar in checked:
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
    """Raise a `PricesError` if a bar does not fit the bar before it."""
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
    """Raise a `PricesError` for a gap that is too long: bars are lost, or the ticker belonged to two stocks."""
    for before, after in pairwise(days):
        asked = any(first < after and before < last for first, last in spans)
        if asked and is_broken(before, after):
            raise PricesError(
                f"{ticker}: no prices between {before} and {after}, which is longer than an exchange is closed: "
                f"load the days until {before} and those from {after} on separately"
            )
