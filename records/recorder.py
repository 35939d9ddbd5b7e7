"""Predictions on their way into the database, off the path of the requests that they belong to.

A process keeps them in memory and writes them within a second, many at a time. While the database is down it keeps what
fits into a bound, counts what does not, and catches up. A process that is killed loses the last second.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import islice
from random import random
from threading import Event, Lock, Thread
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from records.database import Database, DatabaseDownError, insert_into
from records.tables import Forecast, Prediction

FLUSH_S = 1.0
"""How long a prediction waits in memory at most. A process that is killed loses no more than this."""
LONGEST_PAUSE_S = 5.0
"""How long is waited until a database that is down is tried again."""
LAST_WORDS_S = 8.0
"""How long the end of a process is held up to write what is left."""

_TOGETHER = 200
"""So many requests are written in one transaction: few enough that it is short for all who share the database."""
_OVERHEAD = 400
"""Bytes that a request takes in memory beside its numbers."""

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
    """One request's rows."""

    values: dict[str, Any]
    subjects: Sequence[Subject | None]
    rows: int
    size: int


class Recorder:
    """The queue and the thread that empties it."""

    def __init__(self, database: Database, observer: Observer, *, share: float, most_bytes: int) -> None:
        self._database = database
        self._observer = observer
        self._share = share
        self._most_bytes = most_bytes
        self._queue: deque[_Record] = deque()
        self._bytes = self._rows = 0
        self._lock = Lock()
        self._ending = Event()
        self._thread: Thread | None = None
        self._down = False

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
        size = inputs.nbytes + outputs.nbytes + _OVERHEAD
        rows = len(inputs)
        with self._lock:
            room = self._bytes + size <= self._most_bytes and not self._ending.is_set()
            if room:
                self._bytes += size
                self._rows += rows
        if not room:
            self._observer.dropped(rows, "full")
            return None
        id = new_id()
        values = {
            "id": id,
            "model": model,
            "version": version,
            "request_id": request_id or "",
            "at": datetime.now(UTC),
            "seconds": seconds,
            "rows": rows,
            "inputs": inputs.astype("<f4", copy=False).tobytes(),
            "outputs": outputs.astype("<f4", copy=False).tobytes(),
        }
        self._queue.append(_Record(values, subjects, rows, size))
        if self._thread is None:
            self._start()
        return id

    def close(self) -> None:
        """Write what is left, within a bound of time."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(LAST_WORDS_S)
        if left := self._rows:
            self._observer.dropped(left, "ended")
            log.error("%d predictions could not be written before the end: the database is down", left)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="recorder", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = FLUSH_S
        while not self._ending.wait(pause):
            pause = FLUSH_S if self._flush() else min(2 * pause, LONGEST_PAUSE_S)
        self._flush()

    def _flush(self) -> bool:
        """Write all that waits. False if the database can't be reached."""
        while together := list(islice(self._queue, _TOGETHER)):
            try:
                self._write(together)
            except DatabaseDownError as error:
                self._say_down(error)
                return False
            except Exception:
                log.exception("predictions that the database does not take are left out")
                self._done(together, lost=True)
            else:
                self._done(together, lost=False)
        self._say_up()
        return True

    def _write(self, together: Sequence[_Record]) -> None:
        # Who loses the connection while it commits can't know what became of it: the same rows are then sent again.
        forecasts = [
            {"prediction_id": record.values["id"], "row": row, **subject._asdict()}
            for record in together
            for row, subject in enumerate(record.subjects)
            if subject is not None
        ]
        with self._database.writing() as session:
            session.execute(
                insert_into(session, Prediction).on_conflict_do_nothing(), [record.values for record in together]
            )
            if forecasts:
                session.execute(insert_into(session, Forecast).on_conflict_do_nothing(), forecasts)

    def _done(self, together: Sequence[_Record], lost: bool) -> None:
        rows = sum(record.rows for record in together)
        for _ in together:
            self._queue.popleft()
        with self._lock:
            self._rows -= rows
            self._bytes -= sum(record.size for record in together)
        if lost:
            self._observer.dropped(rows, "refused")
        else:
            self._observer.recorded(rows)
        self._observer.waiting(self._rows)

    def _say_down(self, error: DatabaseDownError) -> None:
        if not self._down:
            log.warning("predictions wait for the database: %s", error)
        self._down = True
        self._observer.reachable(False)
        self._observer.waiting(self._rows)

    def _say_up(self) -> None:
        if self._down:
            log.info("the database is back, and all that waited is written")
        self._down = False
        self._observer.reachable(True)


def new_id() -> str:
    """An id that nobody else has. Later ones sort behind earlier ones, so that an index grows at its end."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
