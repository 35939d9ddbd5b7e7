"""Something small to keep and to count."""

from datetime import UTC, date, datetime

from sqlalchemy import func, select

from marmita.records.database.database import Database
from marmita.records.database.tables import PriceRange

MOMENT = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)


def a_range(ticker: str = "MSFT") -> PriceRange:
    return PriceRange(ticker=ticker, first_day=date(2024, 1, 1), last_day=date(2024, 2, 1), fetched_at=MOMENT)


def add(database: Database, ticker: str = "MSFT") -> None:
    with database.writing() as session:
        session.add(a_range(ticker))


def count(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(PriceRange)) or 0
