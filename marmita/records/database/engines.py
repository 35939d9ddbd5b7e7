"""How each kind of database is opened, SQLite's file and PostgreSQL's server, so that none keeps anyone waiting."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError

WRITES = "marmita_writes"
"""The execution option of connections that are about to write."""

_PATIENCE_S = 5
_SERVER_S = 15
"""After this long PostgreSQL itself gives a statement up. One that does not even do that is left alone soon after."""
_POSTGRESQL: dict[str, Any] = {
    "connect_timeout": _PATIENCE_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "marmita",
    "prepare_threshold": None,  # the next transaction may get another server behind a connection pooler
}
_TURN = 0x6D61726D697461  # "marmita"
_LIMITS = (
    f"SET LOCAL statement_timeout = '{_SERVER_S}s';"
    f"SET LOCAL lock_timeout = '{_PATIENCE_S}s';"
    "SET LOCAL idle_in_transaction_session_timeout = '30s'"
)
_ONE_STATE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
_PRAGMAS = (
    "synchronous = NORMAL",
    "foreign_keys = ON",
    "wal_autocheckpoint = 4000",  # pages: to copy them back more seldom spares a third of what writing costs
)
_PRIMARY_CODE = 0xFF
"""The part of an SQLite error code that says what kind of error it is."""
_RETRY_S = 0.02
_creating = Lock()


class CannotOpenError(Exception):
    """The file of the database can't be opened."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection that ends if the server does not answer: a frozen one neither answers nor hangs up."""

    bounded = True

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        begins = self.pgconn.transaction_status == TransactionStatus.IDLE
        if self.bounded and timeout is None:
            timeout = _PATIENCE_S if begins else _SERVER_S + _PATIENCE_S
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            self.close()  # what the server still says would be taken for the next answer
            raise


def engine_for(url: URL) -> Engine:
    """An engine that has opened nothing yet."""
    return _sqlite(url) if url.drivername == "sqlite" else _postgresql(url)


def lock_exclusively(connection: Connection) -> None:
    """Wait for the others that want to do the same, and then take all the time that it needs."""
    if connection.dialect.name == "sqlite":  # who writes has it alone already
        return
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    _driver(connection).bounded = False


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url, pool_size=2, max_overflow=3, pool_timeout=_PATIENCE_S, pool_pre_ping=True, hide_parameters=True
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: list[Any], named: dict[str, Any]) -> PatientConnection:
        return PatientConnection.connect(*args, **(_POSTGRESQL | named))

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        _driver(connection).bounded = True
        # For this transaction only: a connection pooler hands settings of a session on to strangers.
        connection.exec_driver_sql(_LIMITS if _writes(connection) else _ONE_STATE + _LIMITS)

    return engine


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    engine = create_engine(
        url,
        pool_timeout=_PATIENCE_S,
        hide_parameters=True,
        connect_args={"timeout": _PATIENCE_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "do_connect")
    def create(*_: object) -> None:
        try:
            _create(path)
        except OSError as error:
            raise CannotOpenError(f"{path} can't be opened: {error.strerror}") from error

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        record.info["file"] = _identity(path)
        connection.isolation_level = None  # Python's own way of beginning transactions leaves out tables and reads
        _use_write_ahead_log(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "checkout")
    def check(_connection: object, record: Any, _proxy: object) -> None:
        # Who writes into a file that somebody has removed is told of no error, and it is lost.
        if record.info["file"] != _identity(path):
            raise DisconnectionError

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Who reads first and writes then can be refused at once: another one may have written in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")

    return engine


def _driver(connection: Connection) -> PatientConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, PatientConnection)
    return driver


def _create(path: Path) -> None:
    """Make the file, unless it is there: for nobody else to read, as what is kept may be about patients.

    One that is there must not be opened here. To close it again would end all locks that this process has on it, those
    of SQLite's own connections too, and another process would take the log with their last writes away.
    """
    with _creating:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a new file to the write-ahead log. An old one has it already.

    The switch needs the file alone. SQLite does not wait for that, whatever its timeout: of several processes that open
    a new file at once, all but one would fail.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_S)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(WRITES, False))
