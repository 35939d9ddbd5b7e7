"""Shepherds at work: one at a time, killed at any moment, told to end, and the loop as a whole."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from marmita.records.operations import leases, training_runs
from marmita.records.operations.decisions import INTERRUPTED, LEFT, PROMOTED, RETRAIN
from marmita.records.operations.reasons import ReasonCode
from marmita.registry.packed_model import PackedModel
from marmita.shepherd import shutdown
from tests.e2e.field import WINE, Field
from tests.e2e.server import ROOT, Server, environment, metric_samples, serve, until
from tests.samples import SCORE, wines
from tests.shepherd import stand_in

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def field(champions: dict[str, PackedModel], tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path / "home", champions[WINE])
    yield made
    made.end()


def ended(processes: Sequence[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != "zombie" for process in processes)


async def test_of_two_shepherds_one_works_and_the_other_takes_its_place(field: Field) -> None:
    field.hold(stand_in.BEGUN)
    pair = [field.shepherd(WINE), field.shepherd(WINE)]
    await until(lambda: field.reached(stand_in.BEGUN))
    holder = leases.look(field.database, leases.SHEPHERD)
    assert holder is not None
    at_work, waiting = pair if f"-{pair[0].pid}-" in holder.name else pair[::-1]
    await until(lambda: f"waiting for the lease: {holder.name} has held it" in field.said(pair.index(waiting)))
    assert field.once() == 0
    assert f"another shepherd holds the lease: {holder.name} has held it" in field.said(2)
    field.go_on()
    await until(lambda: [one.outcome for one in field.decided()] == [PROMOTED])

    at_work.kill()
    at_work.wait()
    field.lease_runs_out()

    await until(lambda: [one.outcome for one in field.decided()] == [PROMOTED, LEFT])
    waiting.terminate()
    assert waiting.wait(10) == 0


@pytest.mark.parametrize("stage", stand_in.STAGES)
async def test_killed_at_any_moment_it_leaves_nothing_that_the_next_one_does_not_put_right(
    field: Field, stage: str
) -> None:
    field.hold(stage)
    shepherd = field.shepherd("--once", WINE)
    await until(lambda: field.reached(stage))
    (left,) = field.decided()
    family, served = field.family(), field.champion()

    shepherd.kill()
    shepherd.wait()
    await until(lambda: ended(family), 5)
    field.go_on()
    assert field.champion() == served
    field.lease_runs_out()
    assert field.once() == 0

    closed, decided = field.decided()
    champion = field.champion()
    assert champion is not None
    assert closed.id == left.id
    if stage == stand_in.PROMOTED:
        assert (closed.outcome, closed.tag, decided.outcome) == (PROMOTED, champion.tag, LEFT)
        assert champion == served
    else:
        assert (closed.outcome, decided.outcome, decided.tag) == (INTERRUPTED, PROMOTED, champion.tag)
    assert {run.status for run in training_runs.latest(field.database)} <= {
        training_runs.INTERRUPTED,
        training_runs.PROMOTED,
    }
    assert list((field.home / "tmp").iterdir()) == []
    assert ended(field.family())


async def test_told_to_end_it_ends_its_training_and_says_what_became_of_it(field: Field) -> None:
    field.hold(stand_in.BEGUN)
    shepherd = field.shepherd(WINE)
    await until(lambda: field.reached(stand_in.BEGUN))
    family = field.family()

    shepherd.terminate()
    assert shepherd.wait(5) == 0

    assert ended(family)
    (decision,) = field.decided()
    (run,) = training_runs.latest(field.database)
    holder = leases.look(field.database, leases.SHEPHERD)
    assert (decision.outcome, decision.detail) == (INTERRUPTED, shutdown.REASON)
    assert run.status == training_runs.INTERRUPTED
    assert holder is not None
    assert not holder.holds


def test_a_training_that_fails_is_told_by_the_exit_status_and_in_the_history(field: Field) -> None:
    assert field.shepherd("--once", WINE, does="fail").wait(60) == 1
    assert field.shepherd("shepherd", "history", "--model", WINE, module="marmita").wait(60) == 0

    assert "the training data is gone" in field.said(0)
    title, line = field.said(1).splitlines()
    assert title.split() == ["time", "(UTC)", "model", "action", "outcome", "reasons"]
    assert line.split()[2:5] == [WINE, "retrain", "failed"]
    assert line.split()[5] == f"[{ReasonCode.NO_CHAMPION}]"


def test_where_nothing_can_be_trained_it_says_so(tmp_path: Path) -> None:
    for room in ("bentos", "marmita", "records"):
        (tmp_path / room).symlink_to(ROOT / room)
    command = [sys.executable, "-m", "marmita", "shepherd", "--once"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path / "home"), capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: the shepherd is not installed in this image")
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def server(field: Field, champions: dict[str, PackedModel]) -> Iterator[Server]:
    """A service over the shepherd's own store and database."""
    for name, packed in champions.items():
        folder = field.home / "models" / name
        shutil.copytree(packed.path, folder / packed.version)
        (folder / "champion").write_text(packed.version)
        (folder / "promoted").write_text(packed.version)
    with serve(field.home, MARMITA_RECORD="all", MARMITA_QUALITY_INTERVAL="1s") as server:
        yield server


def drifted(count: int) -> dict[str, Any]:
    """Wines that are stronger than those of the reference."""
    asked = wines(count)
    for wine in asked["wines"]:
        wine["alcohol"] = min(wine["alcohol"] * 1.4, 20.0)
    return asked


def look(server: Server, **query: str) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/shepherd", params=query, timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_wines_that_drift_are_learnt_and_the_service_takes_the_new_model_up(
    field: Field, server: Server, champions: dict[str, PackedModel]
) -> None:
    before = look(server)
    assert (before["at_work"], before["holder"], before["decisions"]) == (False, None, [])
    answers = httpx.post(f"{server.url}{SCORE}", json=drifted(300), timeout=30).json()
    truths = [{"id": answer["id"], "truth": round(answer["quality"])} for answer in answers]
    assert httpx.post(f"{server.url}/labels", json={"labels": truths}, timeout=30).status_code == 200

    assert field.shepherd("shepherd", "--once", module="marmita").wait(150) == 0, field.said(0)

    state = look(server, model=WINE, limit="5")
    assert state["holder"] is not None
    assert not state["at_work"]
    (decision,) = state["decisions"]
    assert (decision["action"], decision["outcome"]) == (RETRAIN, PROMOTED)
    assert decision["reason_codes"][0] == ReasonCode.DRIFT
    assert len(decision["reason_codes"]) == len(decision["reasons"])
    assert "input: alcohol" in decision["reasons"][0]
    assert decision["evidence"]["champion"]["tag"] == champions[WINE].tag
    assert decision["evidence"]["material"] == {"new_labels": 300}

    def served() -> Any:
        return httpx.post(f"{server.url}{SCORE}", json=wines(1), timeout=30).json()[0]["model"]

    await until(lambda: bool(served() == decision["tag"]))
    version = decision["tag"].partition(":")[2]
    made = metric_samples(server, f'marmita_model_trained_timestamp_seconds{{model="{WINE}",version="{version}"}}')
    assert list(made.values()) == [pytest.approx(time.time(), abs=120)]
    await until(lambda: bool(metric_samples(server, "marmita_shepherd_last_decision_timestamp_seconds")))
    assert sum(metric_samples(server, "marmita_retraining_failures").values()) == 0
    assert httpx.get(f"{server.url}/shepherd?model=beer").status_code == 400
    assert httpx.get(f"{server.url}/shepherd?limit=0").status_code == 400
