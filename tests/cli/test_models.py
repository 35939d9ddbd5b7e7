"""`marmita models` tells what is in the store."""

import json
from pathlib import Path

import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from marmita.cli.parser import parser
from marmita.registry import champions as registry
from marmita.registry.packed_model import PackedModel
from marmita.training.estimators.pack import pack
from marmita.training.estimators.result import PackedTable
from tests.registry.repacking import repack
from tests.training.estimators import sample

WINE = "wine_quality"


@pytest.fixture
def spent(empty_store: Path) -> PackedTable:
    frame = sample.table()[[sample.SCORE, sample.VISITS]]
    return pack(HistGradientBoostingRegressor(max_iter=20), frame, sample.values(sample.table()), name="spent")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    options = parser().parse_args(arguments)
    options.run(options)
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in printed(capsys, "models").splitlines()[1:]}


def test_models_with_code_and_table_models_are_listed(
    spent: PackedTable, champions: dict[str, PackedModel], capsys: pytest.CaptureFixture[str]
) -> None:
    wine = repack(champions[WINE])
    registry.promote(wine)
    repack(champions[WINE])

    found = listed(capsys)

    mae = f"{spent.card.headline.value:.4f}"
    assert found["spent"][:4] == ["regression", spent.packed.version, "mae", mae]
    assert (found[WINE][:2], found[WINE][-1]) == (["code", wine.version], "2")
    assert found["fetal_health"] == ["code", "none", "-", "-", "0"]


def test_a_model_that_can_not_be_read_is_listed_too(spent: PackedTable, capsys: pytest.CaptureFixture[str]) -> None:
    (spent.packed.path / "card.json").write_text("half of it {")
    (spent.packed.path / "contract.json").write_text("half of it {")

    assert listed(capsys)["spent"] == ["unknown", spent.packed.version, "unreadable", "-", "1"]


@pytest.mark.parametrize("version", ["", ":version"])
def test_the_card_of_a_model_is_shown(spent: PackedTable, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = "spent" if not version else spent.tag

    assert json.loads(printed(capsys, "models", "show", asked)) == json.loads(spent.card.model_dump_json())


def test_a_model_without_a_champion_shows_its_newest_version(
    spent: PackedTable, capsys: pytest.CaptureFixture[str]
) -> None:
    (spent.packed.path.parent / "champion").unlink()

    assert json.loads(printed(capsys, "models", "show", "spent"))["model"] == "spent"
    assert listed(capsys)["spent"] == ["regression", "none", "-", "-", "1"]


def test_a_model_that_is_not_there_is_an_error(empty_store: Path) -> None:
    options = parser().parse_args(["models", "show", "nothing"])

    with pytest.raises(ValueError, match="no model nothing"):
        options.run(options)
