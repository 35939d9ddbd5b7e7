"""`marmita trainer` runs where training is installed, and says so elsewhere."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marmita.cli import trainer
from tests.e2e.server import ROOT, environment


def test_an_image_that_only_serves_has_no_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trainer.is_installed()
    monkeypatch.setattr(trainer, "find_spec", lambda package: None if package == "sklearn" else package)

    assert not trainer.is_installed()
    with pytest.raises(ValueError, match="make shepherd-image"):
        trainer.run(argparse.Namespace(once=True))


def test_where_nothing_waits_it_ends_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "marmita", "trainer", "--once"]
    done = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, check=False, timeout=60)

    assert done.returncode == os.EX_OK, done.stderr


def test_without_a_database_it_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "marmita", "trainer", "--once"]
    nowhere = environment(tmp_path, MARMITA_DATABASE_URL="sqlite:////proc/nothing.db")
    done = subprocess.run(command, cwd=ROOT, env=nowhere, capture_output=True, check=False, timeout=60)

    assert done.returncode == 1
    assert b"Traceback" not in done.stdout + done.stderr
