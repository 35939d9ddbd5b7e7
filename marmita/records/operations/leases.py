"""Leases: of all who would do something, one at a time may, whatever machine they are on.

The database keeps them, and its clock is the only one that counts. A holder asks for more time again and again; one
that has died does not, and its lease runs out. One that can't reach the database in time must take it that another one
has the lease by now.
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

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from marmita.periodic import Periodic
from marmita.records.database import tables
from marmita.records.database.database import Database, DatabaseDownError, insert_into

SHEPHERD = "shepherd"
"""The lease of whoever looks after the models."""

TTL_S = 15.0
"""So long a lease lasts if its holder does not ask for more time."""
_MARGIN = 0.1
"""A holder gives up by this share of the time before others may begin."""

log = logging.getLogger(__name__)


class Holder(NamedTuple):
    """Who has a lease, or had it last."""

    name: str
    since: datetime
    seen_at: datetime
    until: datetime
    holds: bool
    """Whether the lease has not run out."""


class Claim:
    """One who wants a lease, and may have it, once. It is renewed in a thread of its own."""

    def __init__(self, database: Database, lease: str, ttl_s: float = TTL_S) -> None:
        self.holder = f"{socket.gethostname()[:64]}-{os.getpid()}-{token_hex(4)}"
        self._database = database.with_own_connections()
        self._lease = lease
        self._ttl_s = ttl_s
        self._good_until = -math.inf
        self._heartbeat = Periodic("lease", self._keep, ttl_s / 3)
        self._changing = Lock()

    @property
    def good_until(self) -> float:
        """Until when, by this host's `now`, nobody else can have the lease. Once it is over it stays over."""
        return self._good_until

    @property
    def lost(self) -> bool:
        return now() >= self._good_until

    def take(self) -> bool:
        """Hold the lease from now on, unless another one does."""
        asked = now()
        with self._database.writing() as session:
            moment, row = _locked(session, self._lease)
            if row.until > moment:
                # A clock that was set back must not make a dead holder's lease longer than any lease is.
                row.until = min(row.until, moment + self._ttl)
                return False
            row.holder, row.since, row.seen_at, row.until = self.holder, moment, moment, moment + self._ttl
        self._good_until = self._until(asked)
        self._heartbeat.start()
        return True

    def release(self) -> None:
        """Let the next one have it."""
        self._give_up()
        try:
            with self._database.writing() as session:
                moment, row = _locked(session, self._lease)
                if row.holder == self.holder:
                    row.seen_at = row.until = moment
        finally:
            self._database.close()

    def close(self) -> None:
        """Ask for it no more. What is left of it runs out."""
        self._give_up()
        self._database.close()

    def _give_up(self) -> None:
        with self._changing:  # a renewal that is under way does not bring it back
            self._heartbeat.stop()
            self._good_until = -math.inf

    @property
    def _ttl(self) -> timedelta:
        return timedelta(seconds=self._ttl_s)

    def _until(self, asked: float) -> float:
        return asked + self._ttl_s * (1 - _MARGIN)

    def _keep(self) -> None:
        """Renew the lease, or stop when it is lost."""
        if self.lost:
            self._heartbeat.stop()
            return
        asked = now()
        try:
            renewed = self._renew()
        except DatabaseDownError as error:
            log.warning("the lease %s can't be renewed now: %s", self._lease, error)
            return
        with self._changing:
            if self.lost or self._heartbeat.stopping:  # it came too late: what was released stays released
                return
            self._good_until = self._until(asked) if renewed else -math.inf

    def _renew(self) -> bool:
        """Whether the lease is still this one's. One that was released meanwhile, or has run out, is nobody's."""
        with self._database.writing() as session:
            moment, row = _locked(session, self._lease)
            if row.holder != self.holder or row.until <= moment:
                return False
            row.seen_at, row.until = moment, moment + self._ttl
            return True


def look(database: Database, lease: str) -> Holder | None:
    """Who has a lease, or had it last: nobody, if it was never taken."""
    with database.reading() as session:
        row = session.get(tables.Lease, lease)
        moment = _clock(session)
        return Holder(row.holder, row.since, row.seen_at, row.until, row.until > moment) if row else None


def now() -> float:
    """Seconds that go on while the machine sleeps: a lease does too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _locked(session: Session, lease: str) -> tuple[datetime, tables.Lease]:
    """The database's time, and the lease, which nobody else can change meanwhile. A new one has run out."""
    moment = _clock(session)
    new = {"name": lease, "holder": "", "since": moment, "seen_at": moment, "until": moment}
    session.execute(insert_into(session, tables.Lease).values(new).on_conflict_do_nothing())
    row = session.get_one(tables.Lease, lease, with_for_update=True)
    return max(_clock(session), moment), row


def _clock(session: Session) -> datetime:
    """What time it is for the database, at this moment and not when the transaction began."""
    if session.get_bind().dialect.name == "postgresql":
        moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    text = session.execute(select(func.strftime("%Y-%m-%d %H:%M:%f", "now"))).scalar_one()
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
