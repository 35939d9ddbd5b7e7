"""How each kind of database is opened: SQLite's file and PostgreSQL's server."""

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

WRITES = "marmita_writes"
"""The execution option of connections that are about to write."""
PATIENCE_S = 5
"""How long a connection, or a lock, is waited for."""


class CannotOpenError(Exception):
    """The file of the database can't be opened."""


def engine_for(url: URL) -> Engine:
    """Return an engine that has opened nothing yet."""
    if url.drivername == "sqlite":
        from marmita.records.database import sqlite

        return sqlite.engine(url)
    from marmita.records.database import postgresql

    return postgresql.engine(url)


def check_options(url: URL) -> None:
    """Raise a ValueError if a URL has an option that its database does not know."""
    if url.drivername != "sqlite":
        from marmita.records.database import postgresql

        postgresql.check_options(url)


def lock_exclusively(connection: Connection) -> None:
    """Wait for the others that want to do the same. On SQLite, whoever writes has the file alone already."""
    if connection.dialect.name != "sqlite":
        from marmita.records.database import postgresql

        postgresql.lock_exclusively(connection)


def writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(WRITES, False))
