"""A version is served if it is whole and takes the same rows."""

from pathlib import Path

import pytest

from marmita.registry.champions import promote
from marmita.registry.fitness import NoChampionError, NotServableError, check_servable, servable_champion
from marmita.registry.packed_model import COMPILED, PackedModel
from tests.registry.repacking import repack

NAME = "wine_quality"


@pytest.fixture
def packed(champions: dict[str, PackedModel], empty_store: Path) -> PackedModel:
    return repack(champions[NAME])


def test_a_whole_version_with_the_same_contract_is_servable(packed: PackedModel) -> None:
    reworded = [feature | {"description": "in other words", "high": 1e6} for feature in packed.contract["features"]]

    check_servable(packed, packed.contract)
    check_servable(packed, packed.contract | {"features": reworded})


def test_another_contract_is_not(packed: PackedModel) -> None:
    with pytest.raises(NotServableError, match=f"{packed.tag} .*contract"):
        check_servable(packed, packed.contract | {"features": packed.contract["features"][::-1]})


@pytest.mark.parametrize("file", [COMPILED, "contract.json", "card.json", "reference.json"])
def test_a_version_that_lacks_a_file_is_not(packed: PackedModel, file: str) -> None:
    contract = packed.contract
    (packed.path / file).unlink()

    with pytest.raises(NotServableError, match=f"{packed.tag} .*{file}"):
        check_servable(PackedModel(packed.tag, packed.path, packed.digest), contract)


def test_a_damaged_version_is_not(packed: PackedModel) -> None:
    compiled = packed.path / COMPILED
    compiled.write_bytes(compiled.read_bytes()[:-1])

    with pytest.raises(NotServableError, match=f"{packed.tag} is damaged: {COMPILED}"):
        check_servable(packed, packed.contract)


def test_only_the_champion_is_looked_at(packed: PackedModel) -> None:
    with pytest.raises(NoChampionError, match=NAME):
        servable_champion(NAME, packed.contract)

    promote(packed)

    assert servable_champion(NAME, packed.contract) == packed
    with pytest.raises(NotServableError, match=f"{packed.tag} .*contract"):
        servable_champion(NAME, {})
