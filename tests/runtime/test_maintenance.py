"""Jobs are done when they are due, each whatever becomes of the others."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from marmita.internals.bentoml import BentoMLContainer
from marmita.records import metrics
from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.operations import decisions, trainings
from marmita.records.predictions import labels, retention
from marmita.records.quality import quality
from marmita.registry.datasets import DatasetStore
from marmita.runtime import maintenance
from marmita.runtime.maintenance import MaintenanceJobs
from marmita.settings import Settings


class Fake:
    """A model that counts how often it was measured, and fails if it is told to."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.fails = fails
        self.measured = 0
        self.thrice = Event()

    def measure(self, *_: object) -> Any:
        self.measured += 1
        if self.measured == 3:
            self.thrice.set()
        if self.fails:
            raise self.fails
        return self

    model = "fake"
    packed = SimpleNamespace(name="fake")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, int]]:
    """How often each job was done."""
    counts = {"save": 0, "label": 0, "forget": 0}

    def counting(name: str) -> Callable[..., int]:
        def count(*_: Any) -> int:
            counts[name] += 1
            return 0

        return count

    monkeypatch.setattr(quality, "save", counting("save"))
    monkeypatch.setattr(labels, "label_all", counting("label"))
    monkeypatch.setattr(retention, "delete_old", counting("forget"))
    monkeypatch.setattr(metrics, "show_quality", lambda _: None)
    monkeypatch.setattr(decisions, "last_made", lambda _: None)
    monkeypatch.setattr(decisions, "failures", lambda _, models: dict.fromkeys(models, 0))
    monkeypatch.setattr(maintenance, "uses_database", lambda: True)
    before = BentoMLContainer.prometheus_multiproc_dir.get()
    BentoMLContainer.prometheus_multiproc_dir.set(str(tmp_path))
    yield counts
    BentoMLContainer.prometheus_multiproc_dir.set(before)


def jobs_of(*models: Fake, record: Literal["off", "all"] = "all") -> MaintenanceJobs:
    settings = Settings(record=record, quality_interval=timedelta(seconds=0.01))
    return MaintenanceJobs(lambda: models, Database("sqlite:////proc/nothing.db"), settings)  # type: ignore[arg-type, return-value]


def test_one_model_that_can_not_be_measured_keeps_no_other_job_from_being_done(done: dict[str, int]) -> None:
    broken, whole = Fake(ValueError("no such thing")), Fake()
    jobs = jobs_of(broken, whole)
    jobs.begin()
    assert whole.thrice.wait(10)
    jobs.end()

    assert broken.measured >= 3
    assert done == {"save": 1, "label": 1, "forget": 1}  # the next are due in minutes


def test_while_the_database_is_down_all_is_tried_again(done: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    thrice = Event()
    tried = []

    def down(*_: Any) -> int:
        tried.append(1)
        if len(tried) == 3:
            thrice.set()
        raise DatabaseDownError("it is gone")

    monkeypatch.setattr(retention, "delete_old", down)
    jobs = jobs_of()
    jobs.begin()
    assert thrice.wait(10)
    jobs.end()

    assert done["label"] == 1


def test_what_is_too_old_is_forgotten_also_when_nothing_new_is_kept(
    done: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    forgot, model = Event(), Fake()
    monkeypatch.setattr(retention, "delete_old", lambda *_: forgot.set())
    jobs = jobs_of(model, record="off")
    jobs.begin()
    assert forgot.wait(10)
    jobs.end()

    assert model.measured == 0


def test_what_becomes_of_the_shepherd_is_told_whether_predictions_are_kept_or_not(
    done: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Event()
    heard: list[tuple[object, object]] = []

    def hear(*heard_now: Any) -> None:
        heard.append(heard_now)
        told.set()

    decided = datetime(2026, 3, 4, tzinfo=UTC)
    monkeypatch.setattr(decisions, "last_made", lambda _: decided)
    monkeypatch.setattr(decisions, "failures", lambda _, models: dict.fromkeys(models, 2))
    monkeypatch.setattr(metrics, "show_shepherd", hear)
    jobs = jobs_of(Fake(), record="off")
    jobs.begin()
    assert told.wait(10)
    jobs.end()

    assert heard[0] == (decided, {"fake": 2})


def test_datasets_go_with_the_trainings_that_were_ordered_with_them(
    done: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, database = DatasetStore(tmp_path / "datasets"), Database(f"sqlite:///{tmp_path / 'records.db'}")
    names = []
    for content in (b"used", b"unused", b"young"):
        incoming = store.receive()
        incoming.write(content)
        names.append(incoming.keep())
        incoming.close()
    used, _, young = names
    for name in names[:2]:
        os.utime(store.path(name), (0, 0))
    trainings.add(database, "churn", {}, used, "churn.csv", 10)
    monkeypatch.setattr(maintenance, "dataset_store", lambda: store)

    MaintenanceJobs(list, database, Settings())._delete_datasets()

    assert {path.stem for path in (tmp_path / "datasets").glob("*.csv")} == {used, young}
    database.close()
