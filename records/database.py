"""The database: SQLite in one file, or PostgreSQL if a URL says so. It is made and brought up to date on first use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from records.tables import Table

HEAD = "0001"
"""The newest revision in `migrations`. To know it without Alembic spares each process the import."""

MIGRATIONS = Path(__file__).with_name("migrations")

_ADVISORY_LOCK = 0x6D61726D697461  # "marmita"
_WRITES = "marmita_writes"
_PATIENCE_S = 5
_POSTGRESQL = {
    "connect_timeout": _PATIENCE_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "options": "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s",
}


class DatabaseDownError(Exception):
    """The database can't be reached, or can't take what it is given: later it may."""


class Database:
    """One database, for one process. Nothing is opened before it is used, so that a service starts without it."""

    def __init__(self, url: str) -> None:
        self.url = _parsed(url)
        self._engine: Engine | None = None
        self._up_to_date = False
        self._lock = Lock()

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

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
        with self._lock, _understood(), self._connect(writes=False) as connection:
            known = _revision(connection)
        if known is None or known < HEAD:
            with self._lock, _understood(), self._connect(writes=True) as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
                known = _revision(connection)
                if known is None or known < HEAD:
                    _upgrade(connection)
        self._up_to_date = True

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def _session(self, writes: bool) -> Iterator[Session]:
        self.upgrade()
        with _understood(), self._connect(writes) as connection, Session(connection) as session:
            yield session
            session.flush()

    @contextmanager
    def _connect(self, writes: bool) -> Iterator[Connection]:
        if self._engine is None:
            self._engine = _engine(self.url)
        with self._engine.connect().execution_options(**{_WRITES: writes}) as connection, connection.begin():
            yield connection


def insert_into(session: Session, table: type[Table]) -> Any:
    """An INSERT that can say what is to become of rows that are there already: each dialect has its own."""
    dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    return dialect.insert(table.__table__)


def default_url(home: Path) -> str:
    """Where records are kept if nobody says otherwise."""
    return str(URL.create("sqlite", database=str(home / "records.db")))


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("the database's URL can't be read: it must look like postgresql://user:password@host/name") from None
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ValueError(f"{parsed.drivername} is not known: the database must be sqlite or postgresql")
    return parsed


def _engine(url: URL) -> Engine:
    if url.drivername != "sqlite":
        return create_engine(url, pool_size=2, max_overflow=3, pool_timeout=_PATIENCE_S, pool_pre_ping=True, connect_args=_POSTGRESQL)
    path = Path(url.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # what is kept may be about patients
    except OSError as error:
        raise DatabaseDownError(f"{path} can't be opened: {error.strerror}") from error
    engine = create_engine(url, connect_args={"timeout": _PATIENCE_S, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # Python's own way of beginning transactions leaves out tables and reads
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # Who reads first and writes then can be refused at once: another one may have written in between.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT max(version_num) FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _understood() -> Iterator[None]:
    """Turn what drivers raise when there is no database to talk to into one error."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise DatabaseDownError(_first_line(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseDownError(_first_line(error)) from error
        raise


def _first_line(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
