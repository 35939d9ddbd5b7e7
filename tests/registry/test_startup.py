"""A service begins with the champion, if that is whole and takes the same rows."""

from pathlib import Path

import bentoml
import pytest
from bentoml.exceptions import BentoMLException, NotFound

from marmita.registry import packed_model, startup
from marmita.registry.champions import champion, promote
from marmita.registry.packed_model import PackedModel
from tests.messages import mentions
from tests.registry.repacking import repack


def test_a_store_without_champion_says_how_to_make_one(empty_store: Path) -> None:
    with pytest.raises(NotFound, match=r"training\.wine_quality"):
        startup.first_version("wine_quality", {})


def test_only_a_promoted_version_is_served(champions: dict[str, PackedModel], empty_store: Path) -> None:
    old = champions["wine_quality"]
    first, second = repack(old), repack(old)

    assert champion("wine_quality") is None
    promote(first)
    assert str(startup.first_version("wine_quality", first.contract).tag) == first.tag
    promote(second)
    assert str(startup.first_version("wine_quality", first.contract).tag) == second.tag
    assert str(bentoml.models.get("wine_quality:latest").tag) == second.tag
    assert [str(model.tag) for model in bentoml.models.list()].count(first.tag) == 1


def test_another_contract_is_refused(champions: dict[str, PackedModel], empty_store: Path) -> None:
    packed = repack(champions["wine_quality"])
    promote(packed)

    with pytest.raises(BentoMLException, match=f"{packed.tag} .*contract"):
        startup.first_version("wine_quality", packed.contract | {"features": packed.contract["features"][::-1]})


def test_other_words_for_the_same_features_are_not(champions: dict[str, PackedModel], empty_store: Path) -> None:
    packed = repack(champions["wine_quality"])
    promote(packed)
    reworded = [feature | {"description": "in other words", "high": 1e6} for feature in packed.contract["features"]]

    assert str(startup.first_version("wine_quality", packed.contract | {"features": reworded}).tag) == packed.tag


def test_a_version_that_was_not_promoted_is_named_with_the_reason(
    champions: dict[str, PackedModel], empty_store: Path
) -> None:
    packed = repack(champions["wine_quality"])

    with pytest.raises(NotFound, match=packed.tag) as raised:
        startup.first_version("wine_quality", packed.contract)

    assert mentions(str(raised.value), packed.card.verdict.reason)


def test_damage_is_noticed(champions: dict[str, PackedModel], empty_store: Path) -> None:
    packed = repack(champions["wine_quality"])
    promote(packed)
    compiled = packed.path / packed_model.COMPILED
    compiled.write_bytes(compiled.read_bytes()[:-1])

    with pytest.raises(BentoMLException, match=f"{packed.tag} is damaged: {compiled.name}"):
        startup.first_version("wine_quality", packed.contract)

    compiled.unlink()
    with pytest.raises(BentoMLException, match=f"{packed.tag} .*{compiled}"):
        startup.first_version("wine_quality", packed.contract)
