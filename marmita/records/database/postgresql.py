"""Engines for PostgreSQL with time limits on all operations. The driver is imported if a URL names PostgreSQL."""

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from marmita.records.database import engines

_STATEMENT_TIMEOUT_S = 15
"""PostgreSQL's statement timeout. The client closes the connection if a server exceeds even that."""
_CONNECT_OPTIONS: dict[str, Any] = {
    "connect_timeout": engines.PATIENCE_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "marmita",
    "prepare_threshold": None,  # a connection pooler may send the next transaction to another server
}
_LOCK_KEY = 0x6D61726D697461  # "marmita"
_LIMITS = (
    f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT_S}s';"
    f"SET LOCAL lock_timeout = '{engines.PATIENCE_S}s';"
    "SET LOCAL idle_in_transaction_session_timeout = '30s'"
)
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"


class PatientConnection(psycopg.Connection[Any]):
    """A connection with a time limit on answers, as a frozen server neither answers nor disconnects."""

    bounded = True

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        begins = self.pgconn.transaction_status == TransactionStatus.IDLE
        if self.bounded and timeout is None:
            timeout = engines.PATIENCE_S if begins else _STATEMENT_TIMEOUT_S + engines.PATIENCE_S
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            self.close()  # a late answer would be read as that of the next statement
            raise


def engine(url: URL) -> Engine:
    """Return an engine, without connecting."""
    made = create_engine(
        url, pool_size=2, max_overflow=3, pool_timeout=engines.PATIENCE_S, pool_pre_ping=True, hide_parameters=True
    )

    @event.listens_for(made, "do_connect")
    def connect(_dialect: object, _record: object, args: list[Any], named: dict[str, Any]) -> PatientConnection:
        return PatientConnection.connect(*args, **(_CONNECT_OPTIONS | named))

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        _driver(connection).bounded = True
        # For this transaction only: a connection pooler passes session settings on to other clients.
        connection.exec_driver_sql(_LIMITS if engines.writes(connection) else _SNAPSHOT + _LIMITS)

    return made


def lock_exclusively(connection: Connection) -> None:
    """Wait for the exclusive lock, and lift the time limits for the rest of the transaction."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    _driver(connection).bounded = False


def check_options(url: URL) -> None:
    """Raise a ValueError if a URL has an option that PostgreSQL does not support."""
    try:
        _, options = url.get_dialect()().create_connect_args(url)
        make_conninfo(**options)
    except (ArgumentError, psycopg.Error, TypeError, ValueError):  # they repeat the value, which may be a password
        raise ValueError(
            "the database's URL has an option that PostgreSQL does not know: options follow the ?, like sslmode"
        ) from None


def _driver(connection: Connection) -> PatientConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, PatientConnection)
    return driver
