"""Predictions on their way into the database, off the path of the requests that they belong to.

A process keeps them in memory and writes them within a second, many at a time. While the database is down it keeps what
fits into a bound, counts what does not, and catches up. A process that is killed loses the last second.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import date
from random import getrandbits, random
from threading import Event, Lock, Thread
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from records import bulk
from records.database import Database, DatabaseDownError
from records.tables import Forecast, Prediction

FLUSH_S = 1.0
"""How long a prediction waits until it is written. Who is killed loses no more than this, and what is being written."""
LONGEST_PAUSE_S = 5.0
"""How long is waited until a database that is down is tried again."""
LAST_WORDS_S = 8.0
"""How long the end of a process is held up to write what is left."""

_QUIET_S = 60.0
"""A line about records that the database refuses comes no more often: callers may make one after another of them."""
_TOGETHER = 2_000
_BYTES_TOGETHER = 4_000_000
"""So much is written in one transaction: little enough that it is short for all who share the database."""
_OVERHEAD = 750
"""Bytes that a request takes in memory beside its numbers."""
_SUBJECT = 200
"""Bytes that one row's subject takes."""
_NUMBERS = np.dtype("<f4")

log = logging.getLogger("bentoml.marmita")

Floats = npt.NDArray[np.float32]


class Subject(NamedTuple):
    """Which stock a row is about, and its last day."""

    ticker: str
    as_of: date


class Observer(Protocol):
    """Who is told how the recording goes."""

    def recorded(self, rows: int) -> None: ...
    def dropped(self, rows: int, reason: str) -> None: ...
    def waiting(self, rows: int) -> None: ...
    def reachable(self, yes: bool) -> None: ...


class _Record(NamedTuple):
    """One request's rows: first what the database keeps of them, in the order of its columns."""

    id: str
    model: str
    version: str
    request_id: str
    at: float
    seconds: float
    rows: int
    inputs: bytes
    outputs: bytes
    subjects: Sequence[Subject | None]
    size: int


_PREDICTION = _Record._fields[:9]
_FORECAST = ("prediction_id", "row", *Subject._fields)


class _RefusedError(Exception):
    """There is something among these records that the database will never take."""


class Recorder:
    """The queue and the thread that empties it."""

    def __init__(self, database: Database, observer: Observer, *, share: float, most_bytes: int) -> None:
        self._database = database.apart()  # requests may use up the connections that they share
        self._observer = observer
        self._share = share
        self._most_bytes = most_bytes
        self._queue: deque[_Record] = deque()
        self._bytes = self._rows = 0
        self._lock = Lock()
        self._ending = Event()
        self._thread: Thread | None = None
        self._down = False
        self._left_out = 0
        self._quiet_until = 0.0

    def record(
        self,
        model: str,
        version: str,
        request_id: str | None,
        inputs: Floats,
        outputs: Floats,
        seconds: float,
        subjects: Sequence[Subject | None] = (),
    ) -> str | None:
        """Keep what a request asked and what it was told. The id by which it goes from now on, or None if it is not
        kept: because it is not in the sample, or because there is no room.
        """
        if self._share < 1 and random() >= self._share:  # noqa: S311  a sample is no secret
            return None
        asked = inputs.astype(_NUMBERS, copy=False).tobytes()
        told = outputs.astype(_NUMBERS, copy=False).tobytes()
        id, rows = new_id(), len(inputs)
        size = len(asked) + len(told) + _OVERHEAD + _SUBJECT * len(subjects)
        request_id = request_id or ""
        record = _Record(id, model, version, request_id, time.time(), seconds, rows, asked, told, subjects, size)
        with self._lock:
            ended = self._ending.is_set()
            room = not ended and self._bytes + size <= self._most_bytes
            if room:
                self._queue.append(record)
                self._bytes += size
                self._rows += rows
                if self._thread is None:
                    self._thread = Thread(target=self._run, name="recorder", daemon=True)
                    self._thread.start()
        if room:
            return id
        self._observer.dropped(rows, "ended" if ended else "full")
        return None

    def close(self) -> None:
        """Write what is left, within a bound of time."""
        with self._lock:
            if self._ending.is_set():
                return
            self._ending.set()
        if self._thread is not None:
            self._thread.join(LAST_WORDS_S)
        if left := self._rows:
            self._observer.dropped(left, "ended")
            log.error("%d predictions could not be written before the end: the database is down", left)

    def _run(self) -> None:
        pause = FLUSH_S
        while not self._ending.wait(pause):
            pause = FLUSH_S if self._try() else min(2 * pause, LONGEST_PAUSE_S)
        self._try()
        self._database.close()

    def _try(self) -> bool:
        try:
            return self._flush()
        except Exception:  # who observes may fail too, when the disk is full
            log.exception("predictions are kept back for a moment")
            return False

    def _flush(self) -> bool:
        """Write all that waits. False if it has to wait longer."""
        while together := self._next():
            try:
                refused = self._keep(together)
            except Exception as error:  # whatever it is, it may pass, and what is thrown away can't be had again
                self._say_down(error)
                return False
            self._done(together, refused)
            self._say_up()
        return True

    def _next(self) -> list[_Record]:
        together: list[_Record] = []
        size = 0
        with self._lock:
            for record in self._queue:
                size += record.size
                if together and (len(together) == _TOGETHER or size > _BYTES_TOGETHER):
                    break
                together.append(record)
        return together

    def _keep(self, together: Sequence[_Record]) -> int:
        """Write them, but for those that the database will never take: the number of their rows."""
        try:
            with self._database.writing() as session:
                _write(session.connection(), together)
        except _RefusedError as error:
            if len(together) > 1:
                half = len(together) // 2
                return self._keep(together[:half]) + self._keep(together[half:])
            self._say_refused(together[0], error)
            return together[0].rows
        return 0

    def _done(self, together: Sequence[_Record], refused: int) -> None:
        rows = sum(record.rows for record in together)
        with self._lock:
            for record in together:
                self._queue.popleft()
                self._bytes -= record.size
            self._rows -= rows
        if refused:
            self._observer.dropped(refused, "refused")
        self._observer.recorded(rows - refused)
        self._observer.waiting(self._rows)

    def _say_refused(self, record: _Record, error: _RefusedError) -> None:
        self._left_out += 1
        if time.monotonic() < self._quiet_until:
            return
        self._quiet_until = time.monotonic() + _QUIET_S
        last = "%d predictions are left out, because the database refuses them. The last one is of %s: %s"
        log.error(last, self._left_out, record.model, error)
        self._left_out = 0

    def _say_down(self, error: Exception) -> None:
        if not self._down:
            unheard_of = not isinstance(error, DatabaseDownError)
            log.warning("predictions wait for the database: %s", error, exc_info=unheard_of)
        self._down = True
        self._observer.reachable(False)
        self._observer.waiting(self._rows)

    def _say_up(self) -> None:
        if self._down:
            log.info("the database is back")
        self._down = False
        self._observer.reachable(True)


def new_id() -> str:
    """An id that nobody else has. Later ones sort behind earlier ones, so that an index grows at its end."""
    # It is no secret: chance of the cheap kind will do, which a forked process draws anew as well.
    return f"{time.time_ns():016x}{getrandbits(64):016x}"


def _write(connection: Connection, together: Sequence[_Record]) -> None:
    # Who loses the connection while it commits can't know what became of it: the same rows are then sent again.
    moment = bulk.moments(connection)
    try:
        bulk.insert(connection, Prediction, _PREDICTION, [(*r[:4], moment(r.at), *r[5:9]) for r in together])
        if forecasts := list(_forecasts(together)):
            bulk.insert(connection, Forecast, _FORECAST, forecasts)
    except (IntegrityError, DataError, ValueError) as error:  # nothing else is the fault of the values
        raise _RefusedError(str(error)) from error


def _forecasts(together: Sequence[_Record]) -> Iterator[tuple[object, ...]]:
    for record in together:
        for row, subject in enumerate(record.subjects):
            if subject is not None:
                yield record.id, row, subject.ticker, subject.as_of.isoformat()
