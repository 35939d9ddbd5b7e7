"""What a training script leaves in the house's memory."""

import sys
from pathlib import Path

import pytest

from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.operations import training_runs
from marmita.records.predictions.bundles import new_id
from marmita.registry.packed_model import PackedModel
from marmita.training import run
from marmita.training.run import train_and_record


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    monkeypatch.setattr(run, "database", lambda: database)
    return database


def test_a_run_that_packed_a_model_is_recorded_with_its_verdict(
    memory: Database, champions: dict[str, PackedModel]
) -> None:
    packed = champions["wine_quality"]
    assert train_and_record("wine_quality", lambda: packed) is packed

    (found,) = training_runs.latest(memory)
    card = packed.card
    assert (found.tag, found.reason) == (packed.tag, card.verdict.reason)
    assert found.status == (training_runs.PROMOTED if card.verdict.promoted else training_runs.REJECTED)
    assert found.scores[card.headline.metric] == card.headline.value


def test_who_starts_a_run_finds_it_by_the_id_that_he_gave_it(
    memory: Database, champions: dict[str, PackedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = new_id()
    monkeypatch.setattr(sys, "argv", ["wine_quality", "--run", id, "--seed", "3", "--with-labels"])
    told: list[tuple[int, bool]] = []

    def train(seed: int, labels: bool) -> PackedModel:
        told.append((seed, labels))
        return champions["wine_quality"]

    run.from_rows("wine_quality", None, train)

    (found,) = training_runs.latest(memory)
    assert (found.id, found.tag) == (id, champions["wine_quality"].tag)
    assert told == [(3, True)]


@pytest.mark.parametrize("id", ["", "7", "0" * 33, "A" * 32])
def test_what_can_not_be_the_id_of_a_run_is_refused(id: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run.arguments("wine_quality", None).parse_args(["--run", id])
    assert "must be 32 hexadecimal digits" in capsys.readouterr().err


def test_labels_that_can_not_be_read_end_the_script(memory: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["wine_quality", "--with-labels"])

    def train(_seed: int, _labels: bool) -> PackedModel:
        raise DatabaseDownError("it is away")

    with pytest.raises(SystemExit, match="the labelled rows can't be read: it is away"):
        run.from_rows("wine_quality", None, train)
    assert training_runs.latest(memory)[0].status == training_runs.FAILED


def test_a_run_that_fails_is_recorded_with_its_reason(memory: Database) -> None:
    def fail() -> PackedModel:
        raise ValueError("no rows")

    with pytest.raises(ValueError, match="no rows"):
        train_and_record("wine_quality", fail)

    (found,) = training_runs.latest(memory)
    assert (found.status, found.reason) == (training_runs.FAILED, "ValueError: no rows")


def test_a_database_that_is_down_is_no_reason_not_to_train(
    champions: dict[str, PackedModel], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "database", lambda: Database("sqlite:////proc/records.db"))

    assert train_and_record("wine_quality", lambda: champions["wine_quality"]).name == "wine_quality"
    assert "not recorded" in capsys.readouterr().out
