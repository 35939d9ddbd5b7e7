"""What is done every now and then with what the house remembers."""

import logging
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from bentoml._internal.configuration.containers import BentoMLContainer

from marmita.records import metrics
from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.operations import decisions
from marmita.records.predictions import labels, retention
from marmita.records.quality import quality
from marmita.records.recording import remembers
from marmita.runtime.slot import ModelSlot
from marmita.settings import Settings
from marmita.web.lifespan import LifespanHook

SAVE_EVERY_S = 600.0
"""What Prometheus is told every minute need not be kept as often by the database."""
LABEL_EVERY_S = 300.0
FORGET_EVERY_S = 3600.0

log = logging.getLogger("bentoml.marmita")


class MaintenanceJobs(LifespanHook):
    """Measures, labels and forgets, in one worker of a service at a time, and in a thread of its own, so that a slow
    database keeps nobody waiting. Models are measured while predictions are kept; what is too old is forgotten anyway.
    """

    def __init__(self, models: Sequence[ModelSlot], database: Database, settings: Settings) -> None:
        self._database = database
        self._every_s = settings.quality_every_s
        self._window = settings.quality_window
        self._keep = timedelta(days=settings.record_days)
        self._measured: dict[str, quality.Quality] = {}
        self._down = False
        self._ending = Event()
        measured = models if settings.record != "off" else []
        self._chores: dict[Callable[[], None], float] = dict.fromkeys(
            [partial(self._measure, one) for one in measured], 0
        )
        self._names = [one.packed.name for one in models]
        self._chores[self._watch_shepherd] = 0
        self._chores |= {self._save: SAVE_EVERY_S, self._label: LABEL_EVERY_S, self._forget: FORGET_EVERY_S}

    def begin(self) -> None:
        Thread(target=self._run, name="housekeeping", daemon=True).start()

    def end(self) -> None:
        self._ending.set()

    def _run(self) -> None:
        due = dict.fromkeys(self._chores, 0.0)
        folder = Path(BentoMLContainer.prometheus_multiproc_dir.get())
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"housekeeping-{os.getppid()}").open("wb") as mine:
            while not self._ending.wait(self._every_s):
                if not remembers():
                    continue
                try:
                    flock(mine, LOCK_EX | LOCK_NB)  # whoever has it keeps it; the system takes it back from the dead
                except BlockingIOError:
                    continue
                for chore, every_s in self._chores.items():
                    if monotonic() >= due[chore] and self._done(chore):
                        due[chore] = monotonic() + every_s

    def _done(self, chore: Callable[[], None]) -> bool:
        """Whether it could be done. One that can't is no reason to leave out the others."""
        try:
            chore()
        except DatabaseDownError as error:
            if not self._down:
                log.warning("the house can't be kept, as the database is down: %s", error)
            self._down = True
            return False
        except Exception:
            log.exception("a chore could not be done")
            return True  # and is not tried again before its time
        self._down = False
        return True

    def _measure(self, model: ModelSlot) -> None:
        measured = model.measure(self._database, self._window)
        metrics.measured(measured)
        self._measured[measured.model] = measured

    def _watch_shepherd(self) -> None:
        failures = decisions.failures(self._database, self._names)
        metrics.shepherd(decisions.last_made(self._database), failures)

    def _save(self) -> None:
        for measured in self._measured.values():
            quality.save(self._database, measured)

    def _label(self) -> None:
        if count := labels.label_all(self._database):
            log.info("prices have labelled %d steps of forecasts", count)

    def _forget(self) -> None:
        if count := retention.forget(self._database, datetime.now(UTC) - self._keep):
            log.info("forgot %d requests that were older than %d days", count, self._keep.days)
