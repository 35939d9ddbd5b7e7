"""The prices that are kept: which days there are, and closes that can be compared with one another.

All bars of a stock are kept on one scale, adjusted for every split that was known when the last of them was fetched. A
later split scales all of them alike, and so tells a model nothing about what was still to come.
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
"""Where the day of the markets ends last. In summer this is an hour late, which makes a day final an hour later."""

_WEEKEND = 5
_SAME = 0.01
"""Two fetches of one close differ by less, unless something is wrong."""


class NotEnoughHistoryError(ValueError):
    """There are fewer days of prices than are needed."""


class Closes(NamedTuple):
    """One close a day, oldest first, adjusted for splits and dividends."""

    days: list[date]
    values: list[float]


def stored(session: Session, ticker: str, first: date, last: date) -> list[Bar]:
    """The days that are kept, oldest first."""
    return list(_bars(session, ticker, Price.day.between(first, last), Price.day))


def count(session: Session, ticker: str, first: date, last: date) -> int:
    found = select(func.count()).where(Price.ticker == ticker, Price.day.between(first, last))
    return session.execute(found).scalar_one()


def missing(session: Session, ticker: str, first: date, last: date) -> list[Span]:
    """The days that were never fetched."""
    return _without(first, last, _ranges(session, ticker))


def last_before(session: Session, ticker: str, day: date) -> date | None:
    """The last day with trade in the days that were fetched right before this one."""
    before = PriceRange.ticker == Price.ticker, PriceRange.last_day == day - DAY
    fetched = Price.day.between(PriceRange.first_day, PriceRange.last_day)
    return session.execute(select(func.max(Price.day)).where(Price.ticker == ticker, fetched, *before)).scalar()


def last_day(session: Session, ticker: str) -> date | None:
    """The newest day that is kept."""
    return session.execute(select(func.max(Price.day)).where(Price.ticker == ticker)).scalar()


def tickers(session: Session) -> Sequence[str]:
    """The stocks of which prices are kept."""
    return session.execute(select(PriceRange.ticker).distinct()).scalars().all()


def scaled_since(session: Session, ticker: str) -> date | None:
    """The day of the oldest fetch: splits since then may not be in all bars yet."""
    oldest = session.execute(select(func.min(Price.fetched_at)).where(Price.ticker == ticker)).scalar()
    return oldest.astimezone(NEW_YORK).date() if oldest else None


def keep(session: Session, ticker: str, bars: Sequence[Bar], spans: Iterable[Span], now: datetime) -> None:
    """Add the bars of these days, and remember that the days were fetched.

    `bars` has all days from the first of these, or from `scaled_since` if that is earlier, until now: the splits among
    them bring what is kept already to the same scale. Whoever keeps the same stock's prices at the same time waits.
    """
    _lock(session, ticker)
    new = [span for first, last in spans for span in missing(session, ticker, first, last)]
    _rescale(session, ticker, [bar for bar in bars if bar.split != 1], now)
    _compare(session, ticker, bars)
    rows = [bar._asdict() | {"ticker": ticker, "fetched_at": now} for bar in within(bars, new)]
    if rows:
        insert = insert_into(session, Price)
        newer = {name: insert.excluded[name] for name in rows[0] if name not in ("ticker", "day")}
        session.execute(insert.on_conflict_do_update(index_elements=["ticker", "day"], set_=newer), rows)
    for first, last in new:
        _add_range(session, ticker, first, last, now)


def adjusted(bars: Sequence[Bar], as_of: date) -> list[float]:
    """Closes on the scale of the last one until `as_of`, as if each dividend had been put into the share.

    From one day to the next they change by as much as the wealth of someone who held the share.
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
    """The last closes until a day. Nothing that came after it is looked at."""
    bars = _unbroken(session, ticker, as_of, -days)
    if len(bars) < days:
        raise NotEnoughHistoryError(
            f"there are {len(bars)} days of prices of {ticker} in a row up to {as_of}, and {days} are needed"
        )
    return Closes([bar.day for bar in bars], adjusted(bars, as_of))


def newest(session: Session, ticker: str) -> Closes:
    """All closes in a row up to the newest day that is kept."""
    as_of = last_day(session, ticker)
    bars = _unbroken(session, ticker, as_of, -count(session, ticker, date.min, as_of)) if as_of else []
    return Closes([bar.day for bar in bars], adjusted(bars, as_of or date.min))


def future(session: Session, ticker: str, as_of: date, days: int) -> Closes:
    """The closes that followed, as many as are there, on the scale of the last one until `as_of`."""
    now = _unbroken(session, ticker, as_of, -1)
    if not now:
        return Closes([], [])
    bars = now + _unbroken(session, ticker, as_of, days)
    return Closes([bar.day for bar in bars[1:]], adjusted(bars, as_of)[1:])


def _bars(
    session: Session, ticker: str, which: ColumnElement[bool], order: SQLColumnExpression[date], most: int | None = None
) -> Iterator[Bar]:
    columns = (getattr(Price, name) for name in Bar._fields)
    found = select(*columns).where(Price.ticker == ticker, which).order_by(order).limit(most)
    return map(Bar._make, session.execute(found))


def _unbroken(session: Session, ticker: str, as_of: date, days: int) -> list[Bar]:
    """So many days until `as_of`, if negative, or after it. They end where days begin that were never fetched, and
    where the stock ended.
    """
    back = days < 0
    side, order = (Price.day <= as_of, Price.day.desc()) if back else (Price.day > as_of, Price.day)
    ranges = _ranges(session, ticker)
    bars: list[Bar] = []
    edge = min(as_of, date.max - DAY) + DAY if back else as_of
    for bar in _bars(session, ticker, side, order, abs(days)):
        first, last = sorted((edge, bar.day))
        lacking = _without(first + DAY, last - DAY, ranges)
        if is_broken(first, last) or any(_has_weekday(*span) for span in lacking):
            break
        bars.append(bar)
        edge = bar.day
    return bars[::-1] if back else bars


def _has_weekday(first: date, last: date) -> bool:
    """Markets are closed on weekends: nobody misses what was not fetched of them."""
    return any((first + DAY * number).weekday() < _WEEKEND for number in range(min((last - first).days, 2) + 1))


def _ranges(session: Session, ticker: str) -> list[Span]:
    found = select(PriceRange.first_day, PriceRange.last_day).where(PriceRange.ticker == ticker)
    return [(first, last) for first, last in session.execute(found.order_by(PriceRange.first_day))]


def _without(first: date, last: date, ranges: Iterable[Span]) -> list[Span]:
    """What the ranges, oldest first and apart from one another, leave of the days."""
    left = []
    for begin, end in ranges:
        if end < first or begin > last:
            continue
        if begin > first:
            left.append((first, begin - DAY))
        first = end + DAY
    return [*left, (first, last)] if first <= last else left


def _add_range(session: Session, ticker: str, first: date, last: date, now: datetime) -> None:
    """One range out of this one and all that touch it."""
    mine = PriceRange.ticker == ticker
    touching = mine & (PriceRange.first_day <= last + DAY) & (PriceRange.last_day >= first - DAY)
    for begin, end in session.execute(select(PriceRange.first_day, PriceRange.last_day).where(touching)):
        first, last = min(first, begin), max(last, end)
    session.execute(delete(PriceRange).where(mine, PriceRange.first_day.between(first, last)))
    merged = {"ticker": ticker, "first_day": first, "last_day": last, "fetched_at": now}
    session.execute(insert_into(session, PriceRange).values(merged))


def _rescale(session: Session, ticker: str, splits: Iterable[Bar], now: datetime) -> None:
    """Adjust what was fetched before a split was known. The splits are those since the oldest fetch."""
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


def _compare(session: Session, ticker: str, bars: Sequence[Bar]) -> None:
    """Nothing is put beside prices of another scale. A single close may have been corrected meanwhile."""
    if not bars:
        return
    known = {bar.day: bar.close for bar in stored(session, ticker, bars[0].day, bars[-1].day)}
    ratios = [bar.close / known[bar.day] for bar in bars if bar.day in known]
    if ratios and not abs(median(ratios) - 1) <= _SAME:
        raise PricesError(
            f"{ticker}: closes are now {median(ratios):g} times those that are kept, and no split explains it"
        )


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC) + DAY


def _lock(session: Session, ticker: str) -> None:
    """One at a time for each stock. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"prices of {ticker}"}
        )
