"""How good the served models were: for whoever asks, and again and again for Prometheus."""

import logging
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from bentoml._internal.configuration.containers import BentoMLContainer

from marmita import metrics
from marmita.current import Current
from marmita.lifespan import Companion
from marmita.settings import Settings
from records import quality, retention
from records.database import Database, DatabaseDownError

_FORGET_EVERY_S = 3600.0
_SAVE_EVERY_S = 600.0
"""What Prometheus is told every minute need not be kept as often by the database."""

log = logging.getLogger("bentoml.marmita")


class Measuring(Companion):
    """Measures all models every now and then and forgets what is too old, in one worker of a service at a time, and in
    a thread of its own: a database that is slow keeps nobody waiting.
    """

    def __init__(self, models: Sequence[Current], database: Database, settings: Settings) -> None:
        self._models = models
        self._database = database
        self._every_s = settings.quality_every_s
        self._window = settings.quality_window
        self._keep = timedelta(days=settings.record_days)
        self._ending = Event()
        self._down = False
        self._saved_at = self._forgotten_at = -math.inf

    def begin(self) -> None:
        Thread(target=self._run, name="measuring", daemon=True).start()

    def end(self) -> None:
        self._ending.set()

    def _run(self) -> None:
        with Path(BentoMLContainer.prometheus_multiproc_dir.get(), f"measuring-{os.getppid()}").open("wb") as turn:
            while not self._ending.wait(self._every_s):
                try:
                    flock(turn, LOCK_EX | LOCK_NB)  # whoever has it keeps it; the system takes it back from the dead
                except BlockingIOError:
                    continue
                self._measure()

    def _measure(self) -> None:
        try:
            found = [model.measure(self._database, self._window) for model in self._models]
            for one in found:
                metrics.measured(one)
            if monotonic() - self._saved_at > _SAVE_EVERY_S:
                for one in found:
                    quality.save(self._database, one)
                self._saved_at = monotonic()
            if monotonic() - self._forgotten_at > _FORGET_EVERY_S:
                self._forget()
                self._forgotten_at = monotonic()
        except DatabaseDownError as error:
            if not self._down:
                log.warning("quality can't be measured: %s", error)
            self._down = True
        except Exception:
            log.exception("quality could not be measured")
        else:
            self._down = False

    def _forget(self) -> None:
        count = retention.forget(self._database, datetime.now(UTC) - self._keep)
        if count:
            log.info("forgot %d requests that were older than %d days", count, self._keep.days)
