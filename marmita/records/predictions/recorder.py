"""The recorder: writes predictions into the database in the background.

A process buffers predictions and writes them in batches within a second. While the database is down, the buffer grows
up to a limit. Predictions beyond it are dropped and counted; the others are written later. A killed process loses the
last second.
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
"""The interval between writes. A killed process loses at most this and the write in progress."""
LONGEST_BACKOFF_S = 5.0
"""The maximum backoff while the database is down."""
SHUTDOWN_S = 8.0
"""The time limit for the last write at shutdown."""

_LOG_INTERVAL_S = 60.0
"""The minimum interval between log lines about rejected records, as clients may cause many of them."""
_TRANSACTION_BYTES = 4_000_000
"""The maximum size of a transaction, which keeps it short for others that use the database."""

Kept = tuple[str, int]
"""The bundle's id and the number of the request's first row in it. Row `n` has the id `<id>-<first + n>`."""

log = logging.getLogger(__name__)


class Observer(Protocol):
    """The recipient of the recorder's events, such as its metrics."""

    def recorded(self, rows: int) -> None: ...
    def dropped(self, rows: int, reason: str) -> None: ...
    def queued(self, rows: int) -> None: ...
    def reachable(self, yes: bool) -> None: ...


class Recorder:
    """The queue of predictions and the thread that writes them."""

    def __init__(self, database: Database, observer: Observer, *, sample_rate: float, most_bytes: int) -> None:
        self._database = database.with_own_connections()  # requests may use up the shared connections
        self._observer = observer
        self._sample_rate = sample_rate
        self._most_bytes = most_bytes
        self._queue: deque[Bundle] = deque()
        self._open: dict[tuple[str, str], Bundle] = {}
        """The queue's bundles that accept more requests, by model and version."""
        self._bytes = self._rows = 0
        self._lock = Lock()
        self._ended = False
        self._thread: Periodic | None = None
        self._down = False
        self._rejected = 0
        self._next_log_at = 0.0

    def record(self, model: str, version: str, request: PredictionRequest) -> Kept | None:
        """Queue a request. Return None if it is not in the sample or the buffer is full."""
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
        """Write the queue within the time limit, and accept no more requests."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        if self._thread is not None:
            self._thread.stop(SHUTDOWN_S)
        if left := self._rows:
            self._observer.dropped(left, "ended")
            log.error("recorder: %d predictions could not be written before the shutdown: the database is down", left)

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
        """Write the whole queue. Return False if a write failed and must be retried."""
        while batch := self._next_batch():
            try:
                rejected = self._write(batch)
            except Exception as error:  # any error may be temporary, and dropped predictions are lost
                self._mark_down(error)
                return False
            self._done(batch, rejected)
            self._mark_up()
        return True

    def _next_batch(self) -> list[Bundle]:
        batch: list[Bundle] = []
        size = 0
        with self._lock:
            self._open.clear()
            for bundle in self._queue:
                size += bundle.size
                if batch and size > _TRANSACTION_BYTES:
                    break
                batch.append(bundle)
        return batch

    def _write(self, batch: Sequence[Bundle]) -> int:
        """Write bundles, except those that the database will never accept. Return the number of rejected rows."""
        try:
            with self._database.writing() as session:
                write(session.connection(), batch)
        except UnstorableError as error:
            if len(batch) > 1:
                half = len(batch) // 2
                return self._write(batch[:half]) + self._write(batch[half:])
            return self._write_without_texts(batch[0], error)
        return 0

    def _write_without_texts(self, bundle: Bundle, error: UnstorableError) -> int:
        """Write a rejected bundle again without the clients' texts, the likely cause. Return the rejected rows."""
        self._log_rejected(bundle, error)
        bundle.remove_texts()
        try:
            with self._database.writing() as session:
                write(session.connection(), [bundle])
        except UnstorableError:
            return bundle.rows
        return 0

    def _done(self, batch: Sequence[Bundle], rejected: int) -> None:
        rows = sum(bundle.rows for bundle in batch)
        with self._lock:
            for bundle in batch:
                self._queue.popleft()
                self._bytes -= bundle.size
            self._rows -= rows
        if rejected:
            self._observer.dropped(rejected, "refused")
        self._observer.recorded(rows - rejected)
        self._observer.queued(self._rows)

    def _log_rejected(self, bundle: Bundle, error: UnstorableError) -> None:
        self._rejected += bundle.rows
        if time.monotonic() < self._next_log_at:
            return
        self._next_log_at = time.monotonic() + _LOG_INTERVAL_S
        last = (
            "recorder: left out %d rows, or their clients' texts, as the database rejects them. The last are of %s: %s"
        )
        log.error(last, self._rejected, bundle.model, error)
        self._rejected = 0

    def _mark_down(self, error: Exception) -> None:
        if not self._down:
            unexpected = not isinstance(error, DatabaseDownError)
            log.warning("recorder: predictions wait for the database: %s", error, exc_info=unexpected)
        self._down = True
        self._observer.reachable(False)
        self._observer.queued(self._rows)

    def _mark_up(self) -> None:
        if self._down:
            log.info("recorder: the database is available again")
        self._down = False
        self._observer.reachable(True)
