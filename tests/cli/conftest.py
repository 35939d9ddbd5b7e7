"""A project to make models in."""

from pathlib import Path

import pytest

from tests.cli.projects import New, make_project, run_new


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without models."""
    return make_project(tmp_path / "project")


@pytest.fixture
def new_model(project: Path, monkeypatch: pytest.MonkeyPatch) -> New:
    """Run the command within this process, where nobody is at a terminal."""
    monkeypatch.chdir(project)
    return run_new
