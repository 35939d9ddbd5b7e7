"""How PostgreSQL's server is opened, so that it keeps nobody waiting. Its driver is loaded when a URL names it."""

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from marmita.records.database import engines

_SERVER_S = 15
"""After this long PostgreSQL itself gives a statement up. One that does not even do that is left alone soon after."""
_POSTGRESQL: dict[str, Any] = {
    "connect_timeout": engines.PATIENCE_S,
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
    f"SET LOCAL lock_timeout = '{engines.PATIENCE_S}s';"
    "SET LOCAL idle_in_transaction_session_timeout = '30s'"
)
_ONE_STATE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"


class PatientConnection(psycopg.Connection[Any]):
    """A connection that ends if the server does not answer: a frozen one neither answers nor hangs up."""

    bounded = True

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        begins = self.pgconn.transaction_status == TransactionStatus.IDLE
        if self.bounded and timeout is None:
            timeout = engines.PATIENCE_S if begins else _SERVER_S + engines.PATIENCE_S
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            self.close()  # what the server still says would be taken for the next answer
            raise


def engine(url: URL) -> Engine:
    """Return an engine that has opened nothing yet."""
    made = create_engine(
        url, pool_size=2, max_overflow=3, pool_timeout=engines.PATIENCE_S, pool_pre_ping=True, hide_parameters=True
    )

    @event.listens_for(made, "do_connect")
    def connect(_dialect: object, _record: object, args: list[Any], named: dict[str, Any]) -> PatientConnection:
        return PatientConnection.connect(*args, **(_POSTGRESQL | named))

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        _driver(connection).bounded = True
        # For this transaction only: a connection pooler hands settings of a session on to strangers.
        connection.exec_driver_sql(_LIMITS if engines.writes(connection) else _ONE_STATE + _LIMITS)

    return made


def lock_exclusively(connection: Connection) -> None:
    """Wait for the others that want to do the same, and then take all the time that it needs."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    _driver(connection).bounded = False


def check_options(url: URL) -> None:
    """Raise a ValueError if a URL has an option that PostgreSQL does not know."""
    try:
        _, options = url.get_dialect()().create_connect_args(url)
        make_conninfo(**options)
    except (ArgumentError, psycopg.Error, TypeError, ValueError):  # they repeat what is wrong: it may be a password
        raise ValueError(
            "the database's URL has an option that PostgreSQL does not know: they stand behind the ?, like sslmode"
        ) from None


def _driver(connection: Connection) -> PatientConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, PatientConnection)
    return driver
