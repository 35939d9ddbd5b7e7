"""SQLAlchemy engines for each kind of database: SQLite's file and PostgreSQL's server."""

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

WRITES = "marmita_writes"
"""The execution option of connections that will write."""
PATIENCE_S = 5
"""The time limit to wait for a connection or a lock."""


class CannotOpenError(Exception):
    """A database file that can't be opened."""


def engine_for(url: URL) -> Engine:
    """Return an engine, without connecting."""
    if url.drivername == "sqlite":
        from marmita.records.database import sqlite

        return sqlite.engine(url)
    from marmita.records.database import postgresql

    return postgresql.engine(url)


def check_options(url: URL) -> None:
    """Raise a ValueError if a URL has an option that its database does not support."""
    if url.drivername != "sqlite":
        from marmita.records.database import postgresql

        postgresql.check_options(url)


def lock_exclusively(connection: Connection) -> None:
    """Wait for the exclusive lock, for the rest of the transaction. A writer on SQLite has it already."""
    if connection.dialect.name != "sqlite":
        from marmita.records.database import postgresql

        postgresql.lock_exclusively(connection)


def writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(WRITES, False))
