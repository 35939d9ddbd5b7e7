"""The database: SQLite in one file, or PostgreSQL if the URL names it. It is created and migrated on first use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from marmita.records.database.engines import WRITES, CannotOpenError, check_options, engine_for, lock_exclusively
from marmita.records.database.tables import Base

HEAD = "0005"
"""The newest revision in `migrations`. The constant saves each process the import of Alembic."""

MIGRATIONS = Path(__file__).with_name("migrations")

_migration_lock = Lock()  # Alembic has global state


class DatabaseDownError(Exception):
    """A database that can't be reached or used at present. A later attempt may succeed."""


class Database:
    """The database of one process. It connects on first use, so that a service starts without a database."""

    def __init__(self, url: str | URL) -> None:
        self._url = _parse(url)
        self._engine: Engine | None = None
        self._up_to_date = False
        self._lock = Lock()

    def __str__(self) -> str:
        return self._url.set(query={}).render_as_string(hide_password=True)  # a password may be among the options

    def with_own_connections(self) -> "Database":
        """Return the same database with a separate pool, for callers that must not wait for a shared one."""
        return type(self)(self._url)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that reads one snapshot of the database."""
        with self._session(writes=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield the session of a transaction, which the end of the block commits and an error rolls back."""
        with self._session(writes=True) as session:
            yield session

    def upgrade(self) -> None:
        """Migrate the tables to the newest revision. Of processes that start together, one migrates."""
        if self._up_to_date:
            return
        with _translate_errors(), self._connect(writes=False) as connection:
            behind = _is_behind(connection)
        if behind:
            with _migration_lock, _translate_errors(), self._connect(writes=True) as connection:
                lock_exclusively(connection)
                if _is_behind(connection):
                    _upgrade(connection)
        self._up_to_date = True

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def _session(self, writes: bool) -> Iterator[Session]:
        self.upgrade()
        try:
            with _translate_errors(), self._connect(writes) as connection, Session(connection) as session:
                yield session
                session.flush()
        except DatabaseDownError:
            self._up_to_date = False  # the database that comes back may be another, empty one
            raise

    @contextmanager
    def _connect(self, writes: bool) -> Iterator[Connection]:
        with self._lock:
            if self._engine is None:
                self._engine = engine_for(self._url)
        with self._engine.connect().execution_options(**{WRITES: writes}) as connection, connection.begin():
            yield connection


def insert_into(session: Session, table: type[Base]) -> Any:
    """Return the dialect's INSERT, which supports ON CONFLICT."""
    into: Any = table.__table__
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(into)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(into)


def default_url(home: Path) -> str:
    """Return the default URL: a SQLite file in BentoML's home."""
    return str(URL.create("sqlite", database=str(home / "records.db")))


def _parse(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # both would show the password
        raise ValueError("the database's URL must look like postgresql://user:password@host/name") from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ValueError("the database must be sqlite or postgresql: its URL begins with neither")
    check_options(parsed)
    if parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("SQLite needs a file, such as sqlite:////var/lib/marmita/records.db")
    return parsed


def _is_behind(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return True
    known = connection.execute(text("SELECT max(version_num) FROM alembic_version")).scalar()
    return known is None or known < HEAD


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate the drivers' errors for an unusable database into `DatabaseDownError`.

    A missing table or privilege is treated like a missing server: each can be repaired while the service runs.
    """
    try:
        yield
    except CannotOpenError as error:
        raise DatabaseDownError(str(error)) from error
    except (IntegrityError, DataError):  # the fault is in the values, and a retry would fail as well
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        raise DatabaseDownError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
