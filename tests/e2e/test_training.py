"""The commands as a person runs them: all models from nothing, with the scores that docs/models.md promises."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marmita import discovery
from tests.e2e.conftest import Trained
from tests.e2e.server import BENTOML, ROOT
from tests.messages import mentions

pytestmark = pytest.mark.timeout(900)  # training as it is done for real


def run(home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"BENTOML_HOME": str(home)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_fetal_health_reaches_its_goal(trained: Trained) -> None:
    found = trained.cards["fetal_health"]

    assert found.cross_validation["macro_f1"] >= 0.92
    assert found.cross_validation["calibration_error"] <= 0.02
    assert found.held_out["calibration_error"] <= 0.03
    assert found.held_out["log_loss"] < found.baselines["logistic regression"]["log_loss"]
    assert found.held_out["classes"]["pathological"]["recall"] > 0.85
    assert found.compiled_difference <= 1e-4


def test_wine_quality_reaches_its_goal(trained: Trained) -> None:
    found = trained.cards["wine_quality"]

    assert found.cross_validation["mae"] <= 0.49
    assert found.cross_validation["r2"] >= 0.39
    assert 0.87 <= found.held_out["interval_coverage"] <= 0.93
    assert found.held_out["mae"] < found.baselines["ridge regression"]["mae"]
    assert found.compiled_difference <= 1e-4


def test_the_forecaster_is_as_good_as_persistence_and_says_so(trained: Trained) -> None:
    found = trained.cards["stock_forecast"]

    for day in found.held_out["days"]:
        assert day["mae_ratio"] <= 1.01
        assert 0.85 <= day["coverage"] <= 0.95
    assert found.held_out["plainly"] in trained.said
    assert set(found.baselines) == {"persistence", "random walk"}
    assert found.headline.value <= 1.01 * found.headline.baseline_value
    assert found.compiled_difference <= 1e-4


def test_progress_can_be_followed(trained: Trained) -> None:
    for place, name in enumerate(discovery.names(), start=1):
        assert f"[{place}/3] python -m training.{name}" in trained.said
    assert "cross-validating" in trained.said
    assert "epoch  1" in trained.said


def test_what_is_there_is_not_trained_again(trained: Trained) -> None:
    start = time.monotonic()
    done = run(trained.home, sys.executable, "-m", "marmita", "train", "--missing")

    assert done.returncode == 0
    assert done.stdout == ""
    assert time.monotonic() - start < 60


def test_bentoml_lists_and_shows_the_models(trained: Trained) -> None:
    listed = run(trained.home, BENTOML, "models", "list", "--output", "json").stdout
    shown = run(trained.home, BENTOML, "models", "get", "wine_quality:latest", "--output", "json").stdout

    assert all(f"{name}:" in listed for name in ("fetal_health", "wine_quality", "stock_forecast"))
    assert '"task": "regression"' in shown
    assert '"metric": "mae"' in shown


@pytest.mark.parametrize("name", ["fetal_health", "wine_quality", "stock_forecast"])
def test_each_script_explains_itself(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, sys.executable, "-m", f"training.{name}", "--help")

    assert done.returncode == 0
    assert "--seed" in done.stdout


def test_prices_that_can_not_be_had_end_the_script_and_save_nothing(tmp_path: Path) -> None:
    """Where no network is, yfinance answers an empty table."""
    where_no_one_answers = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "training.stock_forecast", "--source", "yfinance"),
            *("--ticker", "MSFT", "--start", "2010-01-01", "--end", "2020-01-01"),
        ],
        cwd=ROOT,
        env=os.environ | where_no_one_answers | {"BENTOML_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert mentions(done.stderr.splitlines()[-1], "MSFT", "network")
    assert list((tmp_path / "models").glob("*")) == []
