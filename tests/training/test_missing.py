"""`marmita train --missing`: what can be served is left alone, and what can't is made."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marmita.cli import main
from marmita.cli import train as command
from marmita.registry import champions, fitness
from marmita.registry.packed_model import PackedModel
from tests import samples
from tests.messages import mentions
from training import wine_quality

FILES = ("compiled.onnx", "contract.json", "card.json", "reference.json")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scripts that were run. One that is run trains a small model."""
    ran: list[str] = []

    def run(arguments: list[str], *, check: bool) -> "subprocess.CompletedProcess[str]":
        assert not check
        ran.append(arguments[-1])
        wine_quality.TRAINING.train(**(samples.WINE_QUALITY | {"trees": 60, "iterations": 150}))
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["marmita", "train", "wine_quality", "--missing"])
    return ran


def exit_code() -> object:
    try:
        main.main()
    except SystemExit as end:
        return end.code
    return 0


def test_a_champion_is_made_where_none_is_and_then_left_alone(
    empty_store: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code() == 0
    assert trained == ["training.wine_quality"]
    capsys.readouterr()

    assert exit_code() == 0
    assert trained == ["training.wine_quality"]
    assert capsys.readouterr().out == ""


def test_a_damaged_champion_is_made_again(
    empty_store: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code() == 0
    damaged = champions.champion("wine_quality")
    assert damaged is not None
    (damaged.path / "contract.json").write_text("half of it {")
    capsys.readouterr()

    assert exit_code() == 0

    assert trained == ["training.wine_quality"] * 2
    said = capsys.readouterr().out
    assert mentions(said, damaged.tag, "contract.json")
    assert champions.champion("wine_quality") != damaged
    assert command.servable("wine_quality")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["half", "lost"])
def test_whatever_is_damaged_makes_a_champion_unfit(
    champions: dict[str, PackedModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    damage: str,
) -> None:
    whole = champions["wine_quality"]
    assert command.servable("wine_quality")
    shutil.copytree(whole.path, tmp_path / "damaged")
    damaged = dataclasses.replace(whole, path=tmp_path / "damaged")
    if damage == "half":
        (damaged.path / file).write_bytes((whole.path / file).read_bytes()[:50])
    else:
        (damaged.path / file).unlink()
    monkeypatch.setattr(fitness, "champion", lambda _: damaged)

    assert not command.servable("wine_quality")
    assert mentions(capsys.readouterr().out, whole.tag, file)
