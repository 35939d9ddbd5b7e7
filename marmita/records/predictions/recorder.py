"""Predictions on their way into the database, off the path of the requests that they belong to.

A process keeps them in memory and writes them within a second, many at a time. While the database is down it keeps what
fits into a bound, counts what does not, and catches up. A process that is killed loses the last second.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from random import random
from threading import Lock
from typing import Protocol

from marmita.periodic import Periodic
from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.predictions.bundles import Bundle, PredictionRequest, UnstorableError, write

FLUSH_S = 1.0
"""How long a prediction waits until it is written. Who is killed loses no more than this, and what is being written."""
LONGEST_BACKOFF_S = 5.0
"""How long is waited until a database that is down is tried again."""
SHUTDOWN_S = 8.0
"""How long the end of a process is held up to write what is left."""

_QUIET_S = 60.0
"""A line about records that the database refuses comes no more often: callers may make one after another of them."""
_BYTES_TOGETHER = 4_000_000
"""So much is written in one transaction: little enough that it is short for all who share the database."""

Kept = tuple[str, int]
"""Where a request is kept: row `n` of it goes by `<id>-<first + n>`, for this id and this first."""

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Who is told how the recording goes."""

    def recorded(self, rows: int) -> None: ...
    def dropped(self, rows: int, reason: str) -> None: ...
    def queued(self, rows: int) -> None: ...
    def reachable(self, yes: bool) -> None: ...


class Recorder:
    """The queue and the thread that empties it."""

    def __init__(self, database: Database, observer: Observer, *, sample_rate: float, most_bytes: int) -> None:
        self._database = database.with_own_connections()  # requests may use up the connections that they share
        self._observer = observer
        self._sample_rate = sample_rate
        self._most_bytes = most_bytes
        self._queue: deque[Bundle] = deque()
        self._open: dict[tuple[str, str], Bundle] = {}
        """Those at the queue's end that take more requests, by model and version."""
        self._bytes = self._rows = 0
        self._lock = Lock()
        self._ended = False
        self._thread: Periodic | None = None
        self._down = False
        self._rejected = 0
        self._quiet_until = 0.0

    def record(self, model: str, version: str, request: PredictionRequest) -> Kept | None:
        """Keep a request, unless it is not in the sample or there is no room."""
        if self._sample_rate < 1 and random() >= self._sample_rate:  # noqa: S311  a sample is no secret
            return None
        rows, size = len(request.inputs), request.size
        with self._lock:
            ended = self._ended
            if not ended and self._bytes + size <= self._most_bytes:
                bundle = self._open.get((model, version))
                if bundle is None or not bundle.has_room(rows):
                    bundle = self._begin(model, version)
                self._bytes += size
                self._rows += rows
                return bundle.id, bundle.add(request, size)
        self._observer.dropped(rows, "ended" if ended else "full")
        return None

    def close(self) -> None:
        """Write what is left, within a bound of time."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        if self._thread is not None:
            self._thread.stop(SHUTDOWN_S)
        if left := self._rows:
            self._observer.dropped(left, "ended")
            log.error("%d predictions could not be written before the end: the database is down", left)

    def _begin(self, model: str, version: str) -> Bundle:
        bundle = self._open[model, version] = Bundle(model, version)
        self._queue.append(bundle)
        if self._thread is None:
            self._thread = Periodic(
                "recorder", self._flush, FLUSH_S, longest_s=LONGEST_BACKOFF_S, last=self._flush_and_close
            )
            self._thread.start()
        return bundle

    def _flush_and_close(self) -> None:
        try:
            self._flush()
        finally:
            self._database.close()

    def _flush(self) -> bool:
        """Write all that waits. False if it has to wait longer."""
        while together := self._next():
            try:
                rejected = self._write(together)
            except Exception as error:  # whatever it is, it may pass, and what is thrown away can't be had again
                self._note_down(error)
                return False
            self._done(together, rejected)
            self._note_up()
        return True

    def _next(self) -> list[Bundle]:
        together: list[Bundle] = []
        size = 0
        with self._lock:
            self._open.clear()
            for bundle in self._queue:
                size += bundle.size
                if together and size > _BYTES_TOGETHER:
                    break
                together.append(bundle)
        return together

    def _write(self, together: Sequence[Bundle]) -> int:
        """Write them, but for those that the database will never take: the number of their rows."""
        try:
            with self._database.writing() as session:
                write(session.connection(), together)
        except UnstorableError as error:
            if len(together) > 1:
                half = len(together) // 2
                return self._write(together[:half]) + self._write(together[half:])
            return self._write_bare(together[0], error)
        return 0

    def _write_bare(self, bundle: Bundle, error: UnstorableError) -> int:
        """Write one that was refused without what may be the reason: the words in it are others', the numbers ours."""
        self._log_rejected(bundle, error)
        bundle.without_words()
        try:
            with self._database.writing() as session:
                write(session.connection(), [bundle])
        except UnstorableError:
            return bundle.rows
        return 0

    def _done(self, together: Sequence[Bundle], rejected: int) -> None:
        rows = sum(bundle.rows for bundle in together)
        with self._lock:
            for bundle in together:
                self._queue.popleft()
                self._bytes -= bundle.size
            self._rows -= rows
        if rejected:
            self._observer.dropped(rejected, "refused")
        self._observer.recorded(rows - rejected)
        self._observer.queued(self._rows)

    def _log_rejected(self, bundle: Bundle, error: UnstorableError) -> None:
        self._rejected += bundle.rows
        if time.monotonic() < self._quiet_until:
            return
        self._quiet_until = time.monotonic() + _QUIET_S
        last = "%d rows are left out, or what callers named in them: the database refuses it. The last are of %s: %s"
        log.error(last, self._rejected, bundle.model, error)
        self._rejected = 0

    def _note_down(self, error: Exception) -> None:
        if not self._down:
            unheard_of = not isinstance(error, DatabaseDownError)
            log.warning("predictions wait for the database: %s", error, exc_info=unheard_of)
        self._down = True
        self._observer.reachable(False)
        self._observer.queued(self._rows)

    def _note_up(self) -> None:
        if self._down:
            log.info("the database is back")
        self._down = False
        self._observer.reachable(True)
