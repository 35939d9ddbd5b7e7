"""Engines for SQLite with time limits on all locks."""

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
    "wal_autocheckpoint = 4000",  # pages: rarer checkpoints save a third of the cost of writing
)
_PRIMARY_CODE = 0xFF
"""The mask for the primary part of an SQLite error code."""
_RETRY_S = 0.02
_creation_lock = Lock()


def engine(url: URL) -> Engine:
    """Return an engine, without opening the file."""
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
        connection.isolation_level = None  # sqlite3 begins no transaction for reads and DDL by itself
        _use_write_ahead_log(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "checkout")
    def check(_connection: object, record: Any, _proxy: object) -> None:
        # Writes to a deleted file succeed and are lost.
        if record.info["file"] != _identity(path):
            raise DisconnectionError

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first fails at its first write if another process has written in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if engines.writes(connection) else "BEGIN")

    return made


def _create(path: Path) -> None:
    """Create the file if it is missing, readable by its owner only, as records may be about patients.

    Never open an existing file here. Closing it would release all locks that this process has on it, including those of
    SQLite's own connections, and another process would delete the log with their last writes.
    """
    with _creation_lock:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a new file to the write-ahead log. An old one has it already.

    The switch needs exclusive access, for which SQLite does not wait, whatever its timeout. Without retries, all but
    one of several processes that open a new file at once would fail.
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
