"""How SQLite's file is opened, so that it keeps nobody waiting."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError

from marmita.records.database import engines

_PRAGMAS = (
    "synchronous = NORMAL",
    "foreign_keys = ON",
    "wal_autocheckpoint = 4000",  # pages: to copy them back more seldom spares a third of what writing costs
)
_PRIMARY_CODE = 0xFF
"""The part of an SQLite error code that says what kind of error it is."""
_RETRY_S = 0.02
_creating = Lock()


def engine(url: URL) -> Engine:
    """Return an engine that has opened nothing yet."""
    path = Path(url.database or "")
    made = create_engine(
        url,
        pool_timeout=engines.PATIENCE_S,
        hide_parameters=True,
        connect_args={"timeout": engines.PATIENCE_S, "check_same_thread": False},
    )

    @event.listens_for(made, "do_connect")
    def create(*_: object) -> None:
        try:
            _create(path)
        except OSError as error:
            raise engines.CannotOpenError(f"{path} can't be opened: {error.strerror}") from error

    @event.listens_for(made, "connect")
    def prepare(connection: Any, record: Any) -> None:
        record.info["file"] = _identity(path)
        connection.isolation_level = None  # Python's own way of beginning transactions leaves out tables and reads
        _use_write_ahead_log(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "checkout")
    def check(_connection: object, record: Any, _proxy: object) -> None:
        # Who writes into a file that somebody has removed is told of no error, and it is lost.
        if record.info["file"] != _identity(path):
            raise DisconnectionError

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        # Who reads first and writes then can be refused at once: another one may have written in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if engines.writes(connection) else "BEGIN")

    return made


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
    deadline = time.monotonic() + engines.PATIENCE_S
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
