"""A forecaster can begin where the champion has ended, if there is a champion that fits."""

import dataclasses
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from marmita.registry.champions import promote
from marmita.registry.packed_model import PackedModel
from marmita.training.packing import Candidate
from tests import samples
from training.stock_forecast import fine_tuning, lstm, train
from training.stock_forecast.fine_tuning import CannotFineTuneError
from training.stock_forecast.lstm import NATIVE
from training.stock_forecast.windows import Recipe


@pytest.fixture
def champion(champions: dict[str, PackedModel], empty_store: Path) -> PackedModel:
    """A copy of the run's champion, in a store of its own."""
    original = champions["stock_forecast"]
    folder = empty_store / original.name / original.version
    shutil.copytree(original.path, folder)
    copy = dataclasses.replace(original, path=folder)
    promote(copy)
    return copy


def fine_tuned(**changes: float) -> PackedModel:
    return train.train(dataclasses.replace(samples.STOCK_FORECAST, **changes), fine_tune=True)  # type: ignore[arg-type]


def test_it_goes_on_from_the_champion_and_says_so_and_the_same_seed_gives_the_same_model(
    champion: PackedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    first = fine_tuned()
    assert f"fine-tuning {champion.tag}" in capsys.readouterr().out
    promote(champion)  # the second one is to begin where the first one did
    second = fine_tuned()

    assert first.card.parameters["fine_tuned_from"] == champion.tag
    assert first.card.held_out != champion.card.held_out
    assert first.card.held_out == second.card.held_out
    assert first.card.data == champion.card.data


def test_who_does_not_learn_is_the_champion_again(champion: PackedModel) -> None:
    still = fine_tuned(learning_rate=0.0)

    closes = np.linspace(20, 25, 60, dtype=np.float32)[None]
    assert still.compiled()(closes) == pytest.approx(champion.compiled()(closes), rel=1e-5)


def test_a_candidate_names_the_champion_it_comes_from(champion: PackedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it does not take the place of another one, who became the champion while it learnt."""
    monkeypatch.setattr(lstm, "train", lambda *_: keras.saving.load_model(champion.path / NATIVE))
    monkeypatch.setattr(lstm, "compiled", lambda _: b"")
    packed: list[Candidate] = []
    monkeypatch.setattr(train, "pack", packed.append)

    fine_tuned()

    assert packed[0].fine_tuned_from == champion


def test_fine_tuning_takes_fewer_and_smaller_steps() -> None:
    gentle = fine_tuning.gentle(Recipe())

    assert gentle.epochs < Recipe.epochs
    assert gentle.learning_rate < Recipe.learning_rate
    assert fine_tuning.gentle(samples.STOCK_FORECAST).epochs == samples.STOCK_FORECAST.epochs


def test_a_champion_of_another_shape_can_not_be_fine_tuned(champion: PackedModel) -> None:
    with pytest.raises(CannotFineTuneError, match=rf"the network of {champion.tag} has another shape"):
        fine_tuned(units=5)
    assert [path.name for path in champion.path.parent.iterdir() if path.is_dir()] == [champion.version]


@pytest.mark.parametrize("damage", ["half", "lost", "none of ours"])
def test_a_native_model_that_can_not_be_read_is_said(champion: PackedModel, damage: str) -> None:
    file = champion.path / NATIVE
    match damage:
        case "half":
            file.write_bytes(file.read_bytes()[:500])
        case "lost":
            file.unlink()
        case _:
            file.write_bytes(b"PK\x05\x06" + b"\0" * 18)

    with pytest.raises(CannotFineTuneError, match=f"the native model of {champion.tag} can't be loaded: ."):
        fine_tuned()


def test_without_a_champion_the_script_ends_with_an_error(empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stock_forecast", "--fine-tune"])

    with pytest.raises(SystemExit, match=r"error: there is no champion to fine-tune\. Nothing was saved\."):
        train.main()


def test_a_damaged_champion_is_none_to_go_on_from(champion: PackedModel) -> None:
    (champion.path / "card.json").write_text("half of it {")

    with pytest.raises(CannotFineTuneError, match="can't be fine-tuned"):
        fine_tuned()
