"""Many rows at once, at half of what SQLAlchemy's own way costs: straight to the driver."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from sqlalchemy import ARRAY, ColumnElement, Connection, String, any_, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from marmita.records.database.tables import Base


def insert(connection: Connection, table: type[Base], columns: Sequence[str], rows: list[tuple[object, ...]]) -> None:
    """Add these rows, but for those that are there already."""
    values = ", ".join(["?" if _is_sqlite(connection) else "%s"] * len(columns))
    names = ", ".join(columns)
    statement = f"INSERT INTO {table.__tablename__} ({names}) VALUES ({values}) ON CONFLICT DO NOTHING"  # noqa: S608
    connection.exec_driver_sql(statement, rows)


def portions(sizes: Mapping[str, int], most: int, together: int) -> Iterator[list[str]]:
    """What is read at a time: so many records, of so much in all. One that is larger is read alone."""
    portion: list[str] = []
    total = 0
    for id, size in sizes.items():
        total += size
        if portion and (len(portion) == together or total > most):
            yield portion
            portion, total = [], size
        portion.append(id)
    if portion:
        yield portion


def is_among(session: Session, column: InstrumentedAttribute[str], ids: Collection[str]) -> ColumnElement[bool]:
    """Return whether a column has one of these ids, as one parameter: to prepare one for each costs more than to look
    them up.
    """
    if _is_sqlite(session.connection()):
        given = func.json_each(json.dumps(list(ids))).table_valued("value")
        return column.in_(select(given.c.value))
    return column == any_(literal(list(ids), ARRAY(String)))


def moments(connection: Connection) -> Callable[[float], object]:
    """What the driver is to be given for a moment, which is a number of seconds since 1970."""
    return _text if _is_sqlite(connection) else _moment


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _text(at: float) -> str:
    # The form in which SQLAlchemy keeps moments in SQLite.
    return f"{_second(int(at))}.{int(at % 1 * 1_000_000):06d}"


@lru_cache(maxsize=2)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
