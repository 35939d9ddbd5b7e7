"""Leases: a lease has one holder at a time, across all machines.

The database stores the leases, and only its clock counts. A holder renews its lease by a heartbeat. The lease of a dead
holder expires. A holder that can't reach the database in time must assume that it has lost the lease.
"""

import logging
import math
import os
import socket
import time
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from threading import Lock
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from marmita.periodic import Periodic
from marmita.records.database import tables
from marmita.records.database.database import Database, DatabaseDownError, insert_into

SHEPHERD = "shepherd"
"""The lease of the active shepherd."""
TRAINER = "trainer-"
"""The beginning of the names of the trainers' leases. Trainers work beside each other: each has a lease of its own."""

TTL_S = 15.0
"""The TTL of a lease without a heartbeat."""
_MARGIN = 0.1
"""The share of the TTL by which a holder gives up before the lease expires in the database."""

log = logging.getLogger(__name__)


class Holder(NamedTuple):
    """The current or last holder of a lease."""

    name: str
    since: datetime
    seen_at: datetime
    until: datetime
    holds: bool
    """Whether the lease is still valid."""


class Claim:
    """A claim to a lease by one candidate, which can take it once. A separate thread sends the heartbeat."""

    def __init__(self, database: Database, lease: str, ttl_s: float = TTL_S) -> None:
        self.holder = f"{socket.gethostname()[:64]}-{os.getpid()}-{token_hex(4)}"
        self._database = database.with_own_connections()
        self._lease = lease
        self._ttl_s = ttl_s
        self._good_until = -math.inf
        self._heartbeat = Periodic("lease", self._beat, ttl_s / 3)
        self._state_lock = Lock()

    @property
    def good_until(self) -> float:
        """Return the expiry by this host's `now`. No other holder can have the lease before. A past expiry is final."""
        return self._good_until

    @property
    def lost(self) -> bool:
        return now() >= self._good_until

    def take(self) -> bool:
        """Take the lease and start the heartbeat. Return False if another holder has the lease."""
        asked = now()
        with self._database.writing() as session:
            moment, row = _lock_row(session, self._lease)
            if row.until > moment:
                # A clock that was set back must not extend a dead holder's lease beyond the TTL.
                row.until = min(row.until, moment + self._ttl)
                return False
            row.holder, row.since, row.seen_at, row.until = self.holder, moment, moment, moment + self._ttl
        self._good_until = self._expiry(asked)
        self._heartbeat.start()
        return True

    def release(self) -> None:
        """Release the lease, so that another holder can take it at once."""
        self._give_up()
        try:
            with self._database.writing() as session:
                moment, row = _lock_row(session, self._lease)
                if row.holder == self.holder:
                    row.seen_at = row.until = moment
        finally:
            self._database.close()

    def close(self) -> None:
        """Stop the heartbeat without a release: the lease expires after its TTL."""
        self._give_up()
        self._database.close()

    def _give_up(self) -> None:
        with self._state_lock:  # a renewal in progress must not restore the lease
            self._heartbeat.stop()
            self._good_until = -math.inf

    @property
    def _ttl(self) -> timedelta:
        return timedelta(seconds=self._ttl_s)

    def _expiry(self, asked: float) -> float:
        return asked + self._ttl_s * (1 - _MARGIN)

    def _beat(self) -> None:
        """Renew the lease, or stop when it is lost."""
        if self.lost:
            self._heartbeat.stop()
            return
        asked = now()
        try:
            renewed = self._renew()
        except DatabaseDownError as error:
            log.warning("renewal of lease %s failed: %s", self._lease, error)
            return
        with self._state_lock:
            if self.lost or self._heartbeat.stopping:  # too late: a released lease stays released
                return
            self._good_until = self._expiry(asked) if renewed else -math.inf

    def _renew(self) -> bool:
        """Renew the lease in the database. Return False if it has expired, or has another holder or none."""
        with self._database.writing() as session:
            moment, row = _lock_row(session, self._lease)
            if row.holder != self.holder or row.until <= moment:
                return False
            row.seen_at, row.until = moment, moment + self._ttl
            return True


def look(database: Database, lease: str) -> Holder | None:
    """Return the current or last holder of a lease, or None if it was never taken."""
    with database.reading() as session:
        row = session.get(tables.Lease, lease)
        moment = database_time(session)
        return Holder(row.holder, row.since, row.seen_at, row.until, row.until > moment) if row else None


def is_held(session: Session, lease: str | None) -> bool:
    """Tell whether a lease is valid now."""
    row = session.get(tables.Lease, lease, populate_existing=True) if lease else None
    return row is not None and row.until > database_time(session)


def count_held(session: Session, prefix: str) -> int:
    """Return the number of valid leases whose names begin with this."""
    moment = database_time(session)
    held = select(func.count()).where(tables.Lease.name.startswith(prefix), tables.Lease.until > moment)
    return session.execute(held).scalar_one()


def delete_expired(session: Session, prefix: str) -> None:
    """Delete the expired leases whose names begin with this. Concurrent calls skip each other's rows."""
    expired = select(tables.Lease.name).where(
        tables.Lease.name.startswith(prefix), tables.Lease.until <= database_time(session)
    )
    names = session.scalars(expired.with_for_update(skip_locked=True)).all()
    session.execute(delete(tables.Lease).where(tables.Lease.name.in_(names)))


def now() -> float:
    """Return the seconds since boot, including sleep, during which leases expire as well."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _lock_row(session: Session, lease: str) -> tuple[datetime, tables.Lease]:
    """Return the database's time and the locked row of a lease. A new row is an expired lease."""
    moment = database_time(session)
    new = {"name": lease, "holder": "", "since": moment, "seen_at": moment, "until": moment}
    session.execute(insert_into(session, tables.Lease).values(new).on_conflict_do_nothing())
    row = session.get_one(tables.Lease, lease, with_for_update=True)
    return max(database_time(session), moment), row


def database_time(session: Session) -> datetime:
    """Return the database's current time, not that of the transaction's beginning."""
    if session.get_bind().dialect.name == "postgresql":
        moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    text = session.execute(select(func.strftime("%Y-%m-%d %H:%M:%f", "now"))).scalar_one()
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
