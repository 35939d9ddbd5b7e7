"""The end of every training: the champion that a model is compared with is the one whose place it takes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bentoml.exceptions import BentoMLException

from marmita.records.database.database import Database
from marmita.records.operations import training_runs
from marmita.registry import champions, locks, packed_model
from marmita.registry.onnx_model import OnnxModel
from marmita.registry.packed_model import PackedModel
from marmita.training import packing, run
from marmita.training.packing import Candidate, HeldOut
from tests.samples import wines

NAME = "wine_quality"


@pytest.fixture
def candidate(champions: dict[str, PackedModel], empty_store: Path) -> Candidate:
    """A model that is as good as itself, and better than its baseline."""
    packed = champions[NAME]
    compiled, card = packed.verify(), packed.card
    rows = np.array([list(wine.values()) for wine in wines(3)["wines"]], dtype=np.float32)
    return Candidate(
        name=NAME,
        about=card.about,
        seed=card.seed,
        data=card.data,
        parameters=card.parameters,
        libraries=("scikit-learn",),
        module="",
        native=lambda _: None,
        compiled=compiled,
        contract=packed.contract,
        reference=packed.reference,
        headline=card.headline.model_copy(update={"value": 0.5, "baseline_value": 0.7, "higher_is_better": False}),
        held_out=HeldOut(rows, OnnxModel(compiled)(rows).astype(float), lambda _: 0.5),
        scores=card.held_out,
        baselines=card.baselines,
    )


def test_nobody_becomes_the_champion_between_the_comparison_and_the_promotion(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = packing.pack(candidate), packing.pack(candidate)
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    tried: list[Callable[[], object]] = []

    def interfere(_: object) -> float:
        for change in (lambda: champions.promote(first), lambda: champions.roll_back(NAME)):
            with pytest.raises(BentoMLException, match="another process"):
                change()
            tried.append(change)
        return 0.5

    def native(folder: Path) -> None:
        interfere(folder)

    third = packing.pack(replace(candidate, native=native, held_out=replace(candidate.held_out, score=interfere)))

    assert len(tried) == 4
    assert second.tag in third.card.verdict.reason
    assert champions.champion(NAME) == third


def test_who_waited_for_another_is_compared_with_that_one(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = packing.pack(candidate), packing.pack(candidate)
    champion_lock = champions.champion_lock

    with monkeypatch.context() as patch:

        def after_a_way_back(name: str) -> object:
            patch.undo()
            champions.roll_back(name)
            return champion_lock(name)

        patch.setattr(champions, "champion_lock", after_a_way_back)
        third = packing.pack(candidate)

    assert champions.champion(NAME) == third
    assert first.tag in third.card.verdict.reason
    assert second.tag not in third.card.verdict.reason


def test_a_version_fine_tuned_from_a_rolled_back_champion_is_kept_but_not_promoted(
    candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Database(f"sqlite:///{tmp_path / 'records.db'}")
    monkeypatch.setattr(run, "database", lambda: memory)
    first, second = packing.pack(candidate), packing.pack(candidate)

    def train() -> PackedModel:
        champions.roll_back(NAME)
        return packing.pack(replace(candidate, fine_tuned_from=second))

    kept = run.train_and_record(NAME, train)

    assert champions.champion(NAME) == first
    assert packed_model.get(kept.tag).card.verdict.promoted is False
    (found,) = training_runs.latest(memory)
    assert (found.status, found.tag) == (training_runs.REJECTED, kept.tag)
    assert second.tag in found.reason


def test_a_version_fine_tuned_from_the_current_champion_takes_its_place(candidate: Candidate) -> None:
    first = packing.pack(candidate)

    second = packing.pack(replace(candidate, fine_tuned_from=first))

    assert champions.champion(NAME) == second


@pytest.mark.parametrize(("part", "missing"), [("scores", "mae"), ("reference", "features")])
def test_what_its_evaluator_can_not_read_is_not_packed(candidate: Candidate, part: str, missing: str) -> None:
    change: dict[str, Any] = {part: {key: value for key, value in getattr(candidate, part).items() if key != missing}}

    with pytest.raises(packing.UnreadableError, match=f"evaluator of {NAME} can't read .*{missing}"):
        packing.pack(replace(candidate, **change))

    assert champions.champion(NAME) is None
