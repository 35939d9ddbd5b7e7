"""A short run with few contenders, in this environment: nothing has to be downloaded for it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import dialects
from benchmarks.__main__ import champions as served
from benchmarks.environments import HERE, Environments
from benchmarks.lineup import COLOCATED, CONTENDERS, MARMITA, Contender, Route
from benchmarks.places import CONTENDERS as FOLDERS
from benchmarks.places import ROOT
from benchmarks.ratios import COMPARISONS
from benchmarks.results import FIGURES, Measurement, Results, Settings
from benchmarks.servers import started
from benchmarks.suite import SCENARIOS, run, write
from benchmarks.workloads import ONE_WINE
from marmita.registry.packed_model import PackedModel
from tests.messages import mentions

CONSTANT = next(one for one in CONTENDERS if one.name == "asgi_constant")
SECONDS = 1.0


def alone(contender: Contender, name: str, **changes: object) -> Contender:
    """A contender at one workload only."""
    route = replace(contender.routes[0], workloads=(ONE_WINE,))
    return replace(contender, name=name, **{"routes": (route,)} | changes)  # type: ignore[arg-type]


BARE = alone(CONSTANT, "bare")
NEVER_STARTS = alone(
    CONSTANT, "never starts", command=("{bin}/python", "-c", f"raise SystemExit('no model in {ROOT}')")
)
WRONG = alone(
    CONSTANT,
    "wrong",
    routes=(Route("tensors", replace(dialects.CONSTANT, read=lambda *_: np.array([[9.0]])), (ONE_WINE,)),),
)
HERE_ALONE = (alone(COLOCATED, "marmita"), BARE, NEVER_STARTS, WRONG)


@pytest.fixture(scope="module")
def folder(champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run has written."""
    folder = tmp_path_factory.mktemp("results")
    settings = Settings(rounds=1, seconds=SECONDS, warm_up_seconds=0.2, flood_seconds=SECONDS, only=[])
    write(run(HERE_ALONE, SCENARIOS, served(), settings, here=True, starts=1), folder)
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return Results.model_validate_json((folder / "results.json").read_text())


@pytest.fixture
def measurement(results: Results) -> Callable[[str], Measurement]:
    return {one.contender: one for one in results.measurements}.__getitem__


@pytest.mark.parametrize("name", ["marmita", "bare"])
def test_a_contender_is_measured_with_all_figures(name: str, measurement: Callable[[str], Measurement]) -> None:
    found = measurement(name)

    assert found.error is None
    assert [one.seconds >= SECONDS * 0.9 for one in found.rounds] == [True]
    assert set(found.spread) == set(FIGURES)
    assert all(0 < spread.least == spread.median == spread.most for spread in found.spread.values())
    (once,) = found.rounds
    assert once.requests_per_second == pytest.approx(once.requests / once.seconds, rel=0.01)
    assert 0 < once.p50_ms <= once.p99_ms


def test_versions_memory_and_time_to_the_first_answer_are_listed(results: Results) -> None:
    listed = {one.name: one for one in results.contenders}

    assert listed["marmita"].versions["bentoml"]
    assert listed["bare"].versions["uvicorn"]
    for name in ("marmita", "bare"):
        assert (listed[name].memory_mb or 0) > 1
        assert (listed[name].ready_seconds or 0) > 0


def test_a_contender_that_does_not_start_is_listed_with_its_error(
    results: Results, measurement: Callable[[str], Measurement], folder: Path
) -> None:
    listed = {one.name: one for one in results.contenders}

    assert mentions(str(listed["never starts"].error), 1, "no model in")
    assert measurement("never starts").rounds == []
    assert "no model in" in (folder / "results.md").read_text()


def test_a_contender_with_wrong_answers_is_an_error(
    measurement: Callable[[str], Measurement], results: Results
) -> None:
    found = measurement("wrong")

    assert found.rounds == []
    assert (found.error or "").startswith("wrong answers: ")


def test_the_machine_and_the_models_are_named(results: Results) -> None:
    assert results.machine.cores > 0
    assert results.machine.memory_gb > 0
    assert results.machine.processor
    assert results.machine.kernel
    assert results.machine.python == ".".join(map(str, sys.version_info[:3]))
    assert set(results.models) == {"fetal_health", "stock_forecast", "wine_quality"}


def test_the_flood_is_as_large_as_it_should_be(results: Results) -> None:
    flood = results.flood

    assert flood is not None, results.errors
    assert flood.offered_per_second == pytest.approx(4 * flood.capacity_per_second, rel=0.01)
    asked = sum(flood.answers.values()) + flood.unanswered
    assert asked == pytest.approx(flood.offered_per_second * flood.seconds, rel=0.01)
    assert flood.answers[200] > 0
    assert flood.memory_most_mb > 0


def test_the_footprint_is_that_of_a_worker(results: Results) -> None:
    footprint = results.footprint

    assert footprint is not None, results.errors
    assert footprint.ready_seconds.median > 0
    assert 0 < footprint.worker_mb.median < footprint.all_processes_mb.median


def test_the_report_and_the_chart_show_who_was_measured(folder: Path) -> None:
    report = (folder / "results.md").read_text()

    for part in ("What it is held to", "One wine, 1 client", "Four times", "What one worker", "Machine", "bentoml"):
        assert part in report
    assert (folder / "results.svg").read_text().lstrip().startswith("<?xml")


def test_equal_results_make_equal_files(results: Results, folder: Path, tmp_path: Path) -> None:
    write(results, tmp_path)

    for file in ("results.json", "results.md", "results.svg"):
        assert (tmp_path / file).read_text() == (folder / file).read_text()


def test_no_place_of_this_machine_gets_into_the_results(folder: Path) -> None:
    for file in ("results.json", "results.md"):
        written = (folder / file).read_text()
        assert str(ROOT) not in written
        assert "http://" not in written
        assert "https://" not in written


def test_cpu_time_counts_children_and_those_that_have_ended(champions: dict[str, PackedModel]) -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    parent = (
        "import subprocess, sys, time\n"
        f"subprocess.run([sys.executable, '-c', {burn!r}])\n"
        f"alive = subprocess.Popen([sys.executable, '-c', {burn!r} + '\\ntime.sleep(60)'])\n"
        "time.sleep(60)"
    )
    busy = alone(CONSTANT, "busy", command=("{bin}/python", "-c", parent))

    with started(busy, HERE, served()) as running:
        running.wait(lambda one: one.cpu_seconds() > 0.75 or one.ask("/"))  # what it can't answer is asked again
        left = running.processes()

    assert len(left) == 2
    assert not any(process.is_running() for process in left)


def test_an_environment_that_cannot_be_made_is_said_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.environments.UV", (sys.executable, "-c", "raise SystemExit('no such package')"))
    monkeypatch.setattr("benchmarks.environments.ENVIRONMENTS", Path("/nowhere"))
    environments = Environments({"mosec"}, here=False)

    assert list(environments.missing) == ["mosec"]
    assert environments.missing["mosec"].endswith(": no such package")
    assert environments.versions(next(one for one in CONTENDERS if one.name == "mosec")) == {}


def test_every_contender_has_exactly_pinned_packages() -> None:
    for contender in CONTENDERS:
        if contender.environment == MARMITA:
            continue
        lines = (FOLDERS / contender.environment / "requirements.txt").read_text().splitlines()
        assert lines
        assert all("==" in line.partition(";")[0] for line in lines), contender.name


def test_all_that_is_compared_is_measured() -> None:
    measured = {
        (contender.name, route.name, workload)
        for contender in CONTENDERS
        for route in contender.routes
        for workload in route.workloads
    }

    for comparison in COMPARISONS:
        assert (*comparison.mine, comparison.workload) in measured
        assert (*comparison.other, comparison.workload) in measured


def test_an_unknown_contender_is_refused_by_name() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "marmita,nobody"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert mentions(done.stderr, "nobody")
