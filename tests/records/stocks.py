"""A stock for tests: a price that walks at random, from Monday to Friday."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
from sqlalchemy import select

from marmita.records.database.database import Database
from marmita.records.database.tables import Price, PriceRange
from marmita.records.prices import prices
from marmita.records.prices.bars import Bar, Span

TICKER = "TEST"
FIRST = date(2020, 1, 6)
"""A Monday."""
NOW = datetime(2021, 3, 1, 12, tzinfo=UTC)


def days(first: date, count: int) -> list[date]:
    """So many days with trade."""
    every = (first + timedelta(number) for number in range(2 * count + 7))
    return [day for day in every if day.weekday() < 5][:count]


def bar(day: date, close: float, dividend: float = 0.0, split: float = 1.0) -> Bar:
    return Bar(day, close, close * 1.01, close * 0.99, close, 1000, dividend, split)


def walk(count: int, first: date = FIRST) -> list[Bar]:
    generator = np.random.default_rng(1)
    closes = 50 * np.exp(np.cumsum(generator.normal(0, 0.01, count)))
    return [bar(day, close) for day, close in zip(days(first, count), closes.tolist(), strict=True)]


def changed(bars: Sequence[Bar], index: int, **values: float) -> list[Bar]:
    """The same bars, but for one."""
    return [one._replace(**values) if place == index else one for place, one in enumerate(bars)]  # type: ignore[arg-type]


def keep(database: Database, bars: Sequence[Bar], *spans: Span, now: datetime = NOW) -> None:
    with database.writing() as session:
        prices.keep(session, TICKER, bars, spans or [(bars[0].day, bars[-1].day)], now)


def kept(database: Database) -> list[Bar]:
    with database.reading() as session:
        return prices.stored(session, TICKER, date.min, date.max)


def everything(database: Database) -> list[tuple[object, ...]]:
    """All that is kept of all stocks."""
    with database.reading() as session:
        found = [
            tuple(row) for table in (Price, PriceRange) for row in session.execute(select(*table.__table__.columns))
        ]
    return sorted(found, key=repr)


class Source:
    """A Yahoo that counts, without a process."""

    def __init__(self, bars: Sequence[Bar], failures: Sequence[Exception] = ()) -> None:
        self.bars = list(bars)
        self.asked: list[tuple[date, date]] = []
        self.seconds: list[float] = []
        self._failures = list(failures)

    def __call__(self, ticker: str, first: date, last: date, timeout_s: float) -> list[Bar]:
        assert ticker == TICKER
        self.asked.append((first, last))
        self.seconds.append(timeout_s)
        if self._failures:
            raise self._failures.pop(0)
        return [one for one in self.bars if first <= one.day <= last]
