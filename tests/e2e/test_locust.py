"""The load test's users ask the real service, and would notice an answer that can't be right."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server


def test_all_users_are_served_without_a_failure(colocated: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "--headless", "--users", "10", "--spawn-rate", "10"),
            *("--run-time", "6s", "--host", colocated.url, "--csv", str(tmp_path / "load"), "--only-summary"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "load_stats.csv").open() as file:
        requests = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert all(requests[route] > 0 for route in ("/fetal-health/classify", "/wine-quality/score"))
    assert requests["/stock-forecast/forecast"] > 0


@pytest.mark.parametrize(
    ("user", "answer"),
    [
        ("Clinic", {"status": "normal", "probabilities": {"normal": 0.9, "suspect": 0.9, "pathological": 0.1}}),
        ("Clinic", {"status": "fine", "probabilities": {"normal": 1.0, "suspect": 0.0, "pathological": 0.0}}),
        ("WineLab", {"quality": 5.0, "interval": {"low": 5.5, "high": 6.0}}),
        ("TradingDesk", {"path": [{"close": 20.0, "low": 21.0, "high": 22.0}]}),
    ],
)
def test_an_answer_that_can_not_be_right_is_noticed(user: str, answer: dict[str, object]) -> None:
    script = f"import sys, locustfile; sys.exit(locustfile.{user}.plausible({answer!r}))"

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
