"""The database: SQLite in one file, or PostgreSQL if a URL says so. It is made and brought up to date on first use."""

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

HEAD = "0003"
"""The newest revision in `migrations`. To know it without Alembic spares each process the import."""

MIGRATIONS = Path(__file__).with_name("migrations")

_migrating = Lock()  # Alembic keeps in globals what it is at


class DatabaseDownError(Exception):
    """The database can't be reached, or is not as it should be, whoever asks: later it may be."""


class Database:
    """One database, for one process. Nothing is opened before it is used, so that a service starts without it."""

    def __init__(self, url: str | URL) -> None:
        self._url = _parsed(url)
        self._engine: Engine | None = None
        self._up_to_date = False
        self._lock = Lock()

    def __str__(self) -> str:
        return self._url.set(query={}).render_as_string(hide_password=True)  # a password may be among the options

    def with_own_connections(self) -> "Database":
        """The same database, with connections of its own: for one who must not wait until others give theirs back."""
        return type(self)(self._url)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database."""
        with self._session(writes=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction: all of it is kept at the end of the block, or nothing if that raises."""
        with self._session(writes=True) as session:
            yield session

    def upgrade(self) -> None:
        """Bring the tables up to date, unless they are. Of processes that start together, one does it."""
        if self._up_to_date:
            return
        with _understood(), self._connect(writes=False) as connection:
            behind = _is_behind(connection)
        if behind:
            with _migrating, _understood(), self._connect(writes=True) as connection:
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
            with _understood(), self._connect(writes) as connection, Session(connection) as session:
                yield session
                session.flush()
        except DatabaseDownError:
            self._up_to_date = False  # what comes back may be another one, with nothing in it
            raise

    @contextmanager
    def _connect(self, writes: bool) -> Iterator[Connection]:
        with self._lock:
            if self._engine is None:
                self._engine = engine_for(self._url)
        with self._engine.connect().execution_options(**{WRITES: writes}) as connection, connection.begin():
            yield connection


def insert_into(session: Session, table: type[Base]) -> Any:
    """An INSERT that can say what is to become of rows that are there already: each dialect has its own."""
    into: Any = table.__table__
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(into)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(into)


def default_url(home: Path) -> str:
    """Where records are kept if nobody says otherwise."""
    return str(URL.create("sqlite", database=str(home / "records.db")))


def _parsed(url: str | URL) -> URL:
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
def _understood() -> Iterator[None]:
    """Turn what drivers raise when the database can't be used into one error. A table or a right that is missing is no
    other case than a server that is missing: all of them can be put right while the service runs.
    """
    try:
        yield
    except CannotOpenError as error:
        raise DatabaseDownError(str(error)) from error
    except (IntegrityError, DataError):  # the fault is in what was to be kept, and will be the next time
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        raise DatabaseDownError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
