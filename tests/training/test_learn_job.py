"""The process of a training reads its order, tells its progress, and ends with a version or an error."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marmita.contract.training_order import TrainingErrorCode, TrainingOrder
from marmita.records.database.database import Database, default_url
from marmita.records.operations import training_runs, trainings
from marmita.records.operations.trainings import StopCode
from marmita.records.predictions.bundles import new_id
from marmita.registry.datasets import DatasetStore
from marmita.training import messages
from marmita.training.messages import ERROR, PROGRESS, RESULT
from tests.e2e.server import ROOT, environment
from tests.iris import iris

QUICK = {"model": "LogisticRegression", "seconds": 20}


class Job:
    """Runs jobs in a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = Database(default_url(home))
        self.run_id = new_id()

    def order(self, content: bytes, **order: Any) -> str:
        made = TrainingOrder.model_validate({"name": "iris", "target": "variety", **QUICK, **order})
        incoming = DatasetStore(self.home / "datasets").receive()
        incoming.write(content)
        dataset = incoming.keep()
        incoming.close()
        return trainings.add(self.database, made.name, made.model_dump(mode="json"), dataset, "iris.csv", 10).id

    def run(self, id: str, **variables: str) -> tuple[int, list[tuple[str, dict[str, Any]]]]:
        """Run a job. Return its exit status and its messages."""
        done = subprocess.run(
            [sys.executable, "-m", "marmita.training.learn_job", id, self.run_id],
            cwd=ROOT,
            env=environment(self.home, **variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        told = [messages.read(line) for line in done.stdout.splitlines()]
        return done.returncode, [message for message in told if message]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    (tmp_path / "home").mkdir()
    made = Job(tmp_path / "home")
    yield made
    made.database.close()


def test_an_order_becomes_a_version(job: Job) -> None:
    status, told = job.run(job.order(iris()))

    assert status == 0
    assert {kind for kind, _ in told[:-1]} == {PROGRESS}
    shares = [content["done"] for _, content in told[:-1]]
    assert shares == sorted(shares)
    assert len(shares) > 3
    kind, result = told[-1] if told[-1][0] == RESULT else told[-2]
    assert kind == RESULT
    name, _, version = result["tag"].partition(":")
    assert name == "iris"
    assert (job.home / "models" / "iris" / "champion").read_text() == version
    (run,) = training_runs.latest(job.database)
    assert (run.id, run.status, run.tag) == (job.run_id, training_runs.PROMOTED, result["tag"])


def test_a_file_that_nothing_can_be_learnt_from_is_an_error_with_its_place(job: Job) -> None:
    status, told = job.run(job.order(b"x,variety\n1,a\n2\n3,b\n"))

    assert status == 1
    kind, error = told[-1]
    assert kind == ERROR
    assert (error["code"], error["row"]) == (TrainingErrorCode.RAGGED_ROW, 3)
    assert error["message"]
    assert not (job.home / "models" / "iris").exists()
    (run,) = training_runs.latest(job.database)
    assert (run.id, run.status) == (job.run_id, training_runs.FAILED)


def test_a_dataset_that_is_elsewhere_is_an_error(job: Job) -> None:
    status, told = job.run(job.order(iris()), MARMITA_DATASETS=str(job.home / "elsewhere"))

    assert status == 1
    assert [(kind, content["code"]) for kind, content in told] == [(ERROR, StopCode.DATASET_MISSING)]


def test_without_a_database_it_is_to_be_tried_again(job: Job) -> None:
    status, told = job.run("0" * 32, MARMITA_DATABASE_URL="sqlite:////proc/nothing.db")

    assert (status, told) == (os.EX_TEMPFAIL, [])
