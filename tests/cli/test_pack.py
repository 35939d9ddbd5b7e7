"""`marmita pack` packs what is in a person's files."""

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from marmita.cli.parser import parser
from marmita.registry.champions import champion
from tests.training.estimators import sample


def run(*arguments: str) -> None:
    options = parser().parse_args(arguments)
    options.run(options)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    frame = sample.table()[[sample.SCORE, sample.VISITS, sample.PRICE]].assign(spent=sample.values(sample.table()))
    frame.to_csv(tmp_path / "table.csv", index=False)
    joblib.dump(HistGradientBoostingRegressor(max_iter=20), tmp_path / "model.joblib")
    return ["pack", str(tmp_path / "model.joblib"), "--data", str(tmp_path / "table.csv")]


def test_an_estimator_in_a_file_is_packed(files: list[str], empty_store: Path) -> None:
    run(
        *files,
        "--target",
        "spent",
        "--name",
        "spent",
        "--about",
        "What is spent",
        "--drop",
        sample.PRICE,
        "--seed",
        "3",
    )

    packed = champion("spent")

    assert packed is not None
    assert [feature["name"] for feature in packed.contract["features"]] == [sample.SCORE, sample.VISITS]
    card = packed.card
    assert (card.about, card.data.source, card.seed) == ("What is spent", "table.csv", 3)


def test_one_that_is_not_promoted_is_told_how(
    files: list[str], tmp_path: Path, empty_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = sample.table()[[sample.SCORE]].assign(noise=np.random.default_rng(6).normal(size=400))
    frame.to_csv(tmp_path / "table.csv", index=False)

    run(*files, "--target", "noise", "--name", "noise")

    assert champion("noise") is None
    assert "marmita promote noise:" in capsys.readouterr().out
