"""Maintenance jobs: measure models, label forecasts and delete old records, each at its own interval."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cached_property, partial
from time import monotonic
from typing import IO

from marmita.hooks import LifespanHook
from marmita.internals.bentoml import metrics_folder
from marmita.periodic import Periodic
from marmita.records import metrics
from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.operations import decisions, trainings
from marmita.records.predictions import labels, retention
from marmita.records.quality import quality
from marmita.registry.datasets import dataset_store
from marmita.runtime.recording import uses_database
from marmita.runtime.slot import ServedVersion
from marmita.settings import Settings, format_duration

SAVE_INTERVAL_S = 600.0
"""The interval for the history in the database. Prometheus gets the figures every minute."""
LABEL_INTERVAL_S = 300.0
RETENTION_INTERVAL_S = 3600.0
UNUSED_DATASETS_FOR = timedelta(hours=1)

log = logging.getLogger(__name__)


@dataclass
class MaintenanceJob:
    """One job with its interval and the time of its next run."""

    name: str
    run: Callable[[], None]
    interval_s: float = 0.0
    """0: the job runs each time that the jobs are checked."""
    due: float = 0.0


class MaintenanceJobs(LifespanHook):
    """The maintenance jobs of a service. One worker at a time runs them.

    They run in a separate thread, so that a slow database delays no request. Models are measured only while predictions
    are recorded; old records are always deleted.
    """

    def __init__(self, models: Callable[[], Sequence[ServedVersion]], database: Database, settings: Settings) -> None:
        self._models = models
        self._records = settings.record != "off"
        self._database = database
        self._window = settings.quality_window
        self._retention = settings.record_retention
        self._measured: dict[str, quality.Quality] = {}
        self._down = False
        self._jobs = [
            MaintenanceJob("shepherd metrics", self._show_shepherd),
            MaintenanceJob("quality history", self._save, SAVE_INTERVAL_S),
            MaintenanceJob("labelling", self._label, LABEL_INTERVAL_S),
            MaintenanceJob("retention", self._delete_old, RETENTION_INTERVAL_S),
            MaintenanceJob("retention of datasets", self._delete_datasets, RETENTION_INTERVAL_S),
        ]
        self._thread = Periodic("maintenance", self._run_due, settings.quality_interval.total_seconds())

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._thread.stop()

    def _run_due(self) -> None:
        if not uses_database() or not self._is_elected():
            return
        for job in [*self._measurements(), *self._jobs]:
            if monotonic() >= job.due and self._run_job(job):
                job.due = monotonic() + job.interval_s

    def _measurements(self) -> list[MaintenanceJob]:
        """Return a job for each model that is served now."""
        models = self._models() if self._records else []
        return [MaintenanceJob(f"quality of {one.packed.name}", partial(self._measure, one)) for one in models]

    def _is_elected(self) -> bool:
        """Tell whether this worker runs the jobs. The worker that has the lock keeps it until its process ends."""
        try:
            flock(self._lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @cached_property
    def _lock(self) -> IO[bytes]:
        return (metrics_folder() / f"maintenance-{os.getppid()}").open("wb")

    def _run_job(self, job: MaintenanceJob) -> bool:
        """Run a job. Return False if it must be retried at the next check. A failed job does not stop the others."""
        try:
            job.run()
        except DatabaseDownError as error:
            if not self._down:
                log.warning("maintenance job %s skipped: the database is down: %s", job.name, error)
            self._down = True
            return False
        except Exception:
            log.exception("maintenance job %s failed", job.name)
            return True  # to be retried after its usual interval
        self._down = False
        return True

    def _measure(self, model: ServedVersion) -> None:
        measured = model.measure(self._database, self._window)
        metrics.show_quality(measured)
        self._measured[measured.model] = measured

    def _show_shepherd(self) -> None:
        failures = decisions.failures(self._database, [one.packed.name for one in self._models()])
        metrics.show_shepherd(decisions.last_made(self._database), failures)

    def _save(self) -> None:
        for measured in self._measured.values():
            quality.save(self._database, measured)
        self._measured.clear()

    def _label(self) -> None:
        if count := labels.label_all(self._database):
            log.info("maintenance job labelling: prices labelled %d forecast steps", count)

    def _delete_old(self) -> None:
        if count := retention.delete_old(self._database, datetime.now(UTC) - self._retention):
            age = format_duration(self._retention)
            log.info("maintenance job retention: deleted %d requests older than %s", count, age)

    def _delete_datasets(self) -> None:
        """Delete the datasets of trainings that were deleted. A training may be stored a moment after its dataset."""
        before = datetime.now(UTC) - UNUSED_DATASETS_FOR
        if count := dataset_store().delete_unused(trainings.datasets(self._database), before):
            log.info("maintenance job retention of datasets: deleted %d files", count)
