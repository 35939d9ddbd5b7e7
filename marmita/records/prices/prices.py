"""Stored prices: the days that were fetched, and adjusted closes.

All bars of a stock have the same scale, adjusted for each split that was known at the last fetch. A later split
rescales all of them equally, so that it leaks no information about the future to a model.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, SQLColumnExpression, cast, delete, func, select, text, update
from sqlalchemy.orm import Session

from marmita.records.database.database import insert_into
from marmita.records.database.tables import Price, PriceRange
from marmita.records.prices.bars import DAY as DAY
from marmita.records.prices.bars import SCALED, Span, is_broken, within
from marmita.records.prices.bars import Bar as Bar
from marmita.records.prices.bars import PricesError as PricesError

NEW_YORK = timezone(timedelta(hours=-5))
"""The time zone in which the trading day ends last. Without daylight saving, summer days end an hour late."""

_WEEKEND = 5
_TOLERANCE = 0.01
"""The relative tolerance between two fetches of the same close."""


class NotEnoughHistoryError(ValueError):
    """A history with fewer days of prices than a caller needs."""


class Closes(NamedTuple):
    """Daily closes, oldest first, adjusted for splits and dividends."""

    days: list[date]
    values: list[float]


def stored(session: Session, ticker: str, first: date, last: date) -> list[Bar]:
    """Return the stored bars of these days, oldest first."""
    return list(_bars(session, ticker, Price.day.between(first, last), Price.day))


def count(session: Session, ticker: str, first: date, last: date) -> int:
    found = select(func.count()).where(Price.ticker == ticker, Price.day.between(first, last))
    return session.execute(found).scalar_one()


def missing(session: Session, ticker: str, first: date, last: date) -> list[Span]:
    """Return the spans of days that were never fetched."""
    return _subtract(first, last, _ranges(session, ticker))


def last_before(session: Session, ticker: str, day: date) -> date | None:
    """Return the last day with trade in the fetched range that ends right before this day."""
    before = PriceRange.ticker == Price.ticker, PriceRange.last_day == day - DAY
    fetched = Price.day.between(PriceRange.first_day, PriceRange.last_day)
    return session.execute(select(func.max(Price.day)).where(Price.ticker == ticker, fetched, *before)).scalar()


def last_day(session: Session, ticker: str) -> date | None:
    """Return the newest stored day."""
    return session.execute(select(func.max(Price.day)).where(Price.ticker == ticker)).scalar()


def tickers(session: Session) -> Sequence[str]:
    """Return the stocks with stored prices."""
    return session.execute(select(PriceRange.ticker).distinct()).scalars().all()


def scaled_since(session: Session, ticker: str) -> date | None:
    """Return the day of the oldest fetch. Bars may lack the adjustment for splits since then."""
    oldest = session.execute(select(func.min(Price.fetched_at)).where(Price.ticker == ticker)).scalar()
    return oldest.astimezone(NEW_YORK).date() if oldest else None


def keep(session: Session, ticker: str, bars: Sequence[Bar], spans: Iterable[Span], now: datetime) -> None:
    """Store the bars of these days, and mark the days as fetched.

    `bars` has all days until now, from the first of these days or from `scaled_since`, whichever is earlier. The splits
    among them bring the stored bars to the same scale. Concurrent calls for the same stock wait.
    """
    _lock(session, ticker)
    new = [span for first, last in spans for span in missing(session, ticker, first, last)]
    _rescale(session, ticker, [bar for bar in bars if bar.split != 1], now)
    _check_scale(session, ticker, bars)
    rows = [bar._asdict() | {"ticker": ticker, "fetched_at": now} for bar in within(bars, new)]
    if rows:
        insert = insert_into(session, Price)
        newer = {name: insert.excluded[name] for name in rows[0] if name not in ("ticker", "day")}
        session.execute(insert.on_conflict_do_update(index_elements=["ticker", "day"], set_=newer), rows)
    for first, last in new:
        _add_range(session, ticker, first, last, now)


def adjusted(bars: Sequence[Bar], as_of: date) -> list[float]:
    """Return closes adjusted for dividends, on the scale of the last close until `as_of`.

    Their daily changes are total returns, with dividends reinvested.
    """
    if not bars:
        return []
    values = [bars[0].close]
    for before, bar in pairwise(bars):
        values.append(values[-1] * bar.close / (before.close - bar.dividend))
    now = sum(bar.day <= as_of for bar in bars) - 1
    scale = bars[max(now, 0)].close / values[max(now, 0)]
    return [value * scale for value in values]


def history(session: Session, ticker: str, as_of: date, days: int) -> Closes:
    """Return the last closes until a day. Later bars have no effect on them."""
    bars = _consecutive(session, ticker, as_of, -days)
    if len(bars) < days:
        raise NotEnoughHistoryError(
            f"there are {len(bars)} days of prices of {ticker} in a row up to {as_of}, and {days} are needed"
        )
    return Closes([bar.day for bar in bars], adjusted(bars, as_of))


def newest(session: Session, ticker: str) -> Closes:
    """Return all consecutive closes up to the newest stored day."""
    as_of = last_day(session, ticker)
    bars = _consecutive(session, ticker, as_of, -count(session, ticker, date.min, as_of)) if as_of else []
    return Closes([bar.day for bar in bars], adjusted(bars, as_of or date.min))


def future(session: Session, ticker: str, as_of: date, days: int) -> Closes:
    """Return up to `days` closes after `as_of`, on the scale of the last close until then."""
    now = _consecutive(session, ticker, as_of, -1)
    if not now:
        return Closes([], [])
    bars = now + _consecutive(session, ticker, as_of, days)
    return Closes([bar.day for bar in bars[1:]], adjusted(bars, as_of)[1:])


def _bars(
    session: Session, ticker: str, which: ColumnElement[bool], order: SQLColumnExpression[date], most: int | None = None
) -> Iterator[Bar]:
    columns = (getattr(Price, name) for name in Bar._fields)
    found = select(*columns).where(Price.ticker == ticker, which).order_by(order).limit(most)
    return map(Bar._make, session.execute(found))


def _consecutive(session: Session, ticker: str, as_of: date, days: int) -> list[Bar]:
    """Return consecutive bars: the last `-days` until `as_of` if `days` is negative, else the first `days` after it.

    They end at days that were never fetched, and where trading ended.
    """
    back = days < 0
    side, order = (Price.day <= as_of, Price.day.desc()) if back else (Price.day > as_of, Price.day)
    ranges = _ranges(session, ticker)
    bars: list[Bar] = []
    edge = min(as_of, date.max - DAY) + DAY if back else as_of
    for bar in _bars(session, ticker, side, order, abs(days)):
        first, last = sorted((edge, bar.day))
        lacking = _subtract(first + DAY, last - DAY, ranges)
        if is_broken(first, last) or any(_has_weekday(*span) for span in lacking):
            break
        bars.append(bar)
        edge = bar.day
    return bars[::-1] if back else bars


def _has_weekday(first: date, last: date) -> bool:
    """Tell whether a span has a weekday. Markets are closed on weekends, which need no fetch."""
    return any((first + DAY * number).weekday() < _WEEKEND for number in range(min((last - first).days, 2) + 1))


def _ranges(session: Session, ticker: str) -> list[Span]:
    found = select(PriceRange.first_day, PriceRange.last_day).where(PriceRange.ticker == ticker)
    return [(first, last) for first, last in session.execute(found.order_by(PriceRange.first_day))]


def _subtract(first: date, last: date, ranges: Iterable[Span]) -> list[Span]:
    """Return the days outside the ranges, which are sorted and do not touch."""
    left = []
    for begin, end in ranges:
        if end < first or begin > last:
            continue
        if begin > first:
            left.append((first, begin - DAY))
        first = end + DAY
    return [*left, (first, last)] if first <= last else left


def _add_range(session: Session, ticker: str, first: date, last: date, now: datetime) -> None:
    """Merge a range with all stored ranges that touch it."""
    mine = PriceRange.ticker == ticker
    touching = mine & (PriceRange.first_day <= last + DAY) & (PriceRange.last_day >= first - DAY)
    for begin, end in session.execute(select(PriceRange.first_day, PriceRange.last_day).where(touching)):
        first, last = min(first, begin), max(last, end)
    session.execute(delete(PriceRange).where(mine, PriceRange.first_day.between(first, last)))
    merged = {"ticker": ticker, "first_day": first, "last_day": last, "fetched_at": now}
    session.execute(insert_into(session, PriceRange).values(merged))


def _rescale(session: Session, ticker: str, splits: Iterable[Bar], now: datetime) -> None:
    """Adjust the bars that were fetched before a split was known. `splits` has those since the oldest fetch."""
    for split in splits:
        session.execute(
            update(Price)
            .where(Price.ticker == ticker, Price.day < split.day, Price.fetched_at < _end_of(split.day))
            .values(
                {name: getattr(Price, name) / split.split for name in SCALED}
                | {"volume": cast(func.round(Price.volume * split.split), BigInteger)}
            )
        )
    session.execute(update(Price).where(Price.ticker == ticker).values(fetched_at=now))


def _check_scale(session: Session, ticker: str, bars: Sequence[Bar]) -> None:
    """Raise a `PricesError` if the scales of new and stored bars differ. A correction of single closes is allowed."""
    if not bars:
        return
    known = {bar.day: bar.close for bar in stored(session, ticker, bars[0].day, bars[-1].day)}
    ratios = [bar.close / known[bar.day] for bar in bars if bar.day in known]
    if ratios and not abs(median(ratios) - 1) <= _TOLERANCE:
        raise PricesError(
            f"{ticker}: closes are now {median(ratios):g} times the stored ones, and no split explains it"
        )


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC) + DAY


def _lock(session: Session, ticker: str) -> None:
    """Lock the stock for the rest of the transaction. SQLite has a single writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"prices of {ticker}"}
        )
