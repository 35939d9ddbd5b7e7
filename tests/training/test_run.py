"""What a training script leaves in the house's memory."""

from pathlib import Path

import pytest

from marmita.store import Packed
from records import runs
from records.database import Database
from training import run
from training.run import remembered


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    monkeypatch.setattr(run, "database", lambda: database)
    return database


def test_a_run_that_packed_a_model_is_remembered_with_its_verdict(
    memory: Database, champions: dict[str, Packed]
) -> None:
    packed = champions["wine_quality"]
    assert remembered("wine_quality", lambda: packed) is packed

    (found,) = runs.latest(memory)
    card = packed.card
    assert (found.tag, found.reason) == (packed.tag, card.verdict.reason)
    assert found.status == (runs.PROMOTED if card.verdict.promoted else runs.REJECTED)
    assert found.scores[card.headline.metric] == card.headline.value


def test_a_run_that_fails_is_remembered_with_its_reason(memory: Database) -> None:
    def fail() -> Packed:
        raise ValueError("no rows")

    with pytest.raises(ValueError, match="no rows"):
        remembered("wine_quality", fail)

    (found,) = runs.latest(memory)
    assert (found.status, found.reason) == (runs.FAILED, "ValueError: no rows")


def test_a_database_that_is_down_is_no_reason_not_to_train(
    champions: dict[str, Packed], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "database", lambda: Database("sqlite:////proc/records.db"))

    assert remembered("wine_quality", lambda: champions["wine_quality"]).name == "wine_quality"
    assert "not remembered" in capsys.readouterr().out
