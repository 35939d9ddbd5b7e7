"""Estimators and tables in files."""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.files import pack_files
from marmita.training.estimators.pack import pack
from tests.training.estimators import sample
from tests.training.estimators.sample import prepared


@pytest.fixture
def table() -> pd.DataFrame:
    frame = sample.table()
    return frame.assign(stays=sample.answers(frame), row=range(len(frame)))


@pytest.fixture
def files(tmp_path: Path, table: pd.DataFrame) -> dict[str, Any]:
    """The arguments for an estimator and a table in files."""
    model, data = tmp_path / "model.joblib", tmp_path / "table.csv"
    joblib.dump(boosting(), model)
    table.to_csv(data, index=False, encoding="utf-8-sig")
    return {"estimator": model, "data": data, "target": "stays", "drop": ["row"], "name": "stays"}


def boosting() -> Any:
    return make_pipeline(prepared(), HistGradientBoostingClassifier(max_iter=20, random_state=3))


def test_files_make_the_same_model_as_the_objects_in_them(
    files: dict[str, Any], table: pd.DataFrame, empty_store: Path
) -> None:
    of_files = pack_files(**files)

    of_objects = pack(boosting(), table.drop(columns=["stays", "row"]), table["stays"], name="stays")

    assert of_files.packed.digest == of_objects.packed.digest
    assert of_files.contract == of_objects.contract


def test_a_fitted_estimator_is_packed_as_it_is_with_rows_to_score_it_on(
    files: dict[str, Any], table: pd.DataFrame, tmp_path: Path, empty_store: Path
) -> None:
    table = table.assign(**{sample.SCORE: table[sample.SCORE].round(2)})
    train, unseen = table[:300], table[300:]
    joblib.dump(boosting().fit(train.drop(columns=["stays", "row"]), train["stays"]), files["estimator"])
    train.to_csv(files["data"], index=False, sep=";")
    unseen.to_csv(tmp_path / "unseen.csv", index=False, sep=";")

    found = pack_files(**files, holdout=tmp_path / "unseen.csv", delimiter=";")

    assert (found.card.data.rows, found.card.data.rows_held_out) == (300, 100)


@pytest.mark.parametrize(
    "changed",
    [
        {"estimator": Path("nowhere.joblib")},
        {"data": Path("nowhere.csv")},
        {"holdout": Path("nowhere.csv")},
        {"target": "nothing"},
        {"drop": ["nothing"]},
        {"delimiter": ";"},
    ],
)
def test_a_file_that_can_not_be_read_is_named(
    changed: dict[str, Any], files: dict[str, Any], empty_store: Path
) -> None:
    with pytest.raises(CannotPackError) as error:
        pack_files(**files | changed)

    assert error.value.code is Problem.FILE
    assert list(empty_store.iterdir()) == []


def test_a_file_without_an_estimator_is_named(files: dict[str, Any], empty_store: Path) -> None:
    files["estimator"].write_text("no pickle")

    with pytest.raises(CannotPackError, match=r"model\.joblib") as error:
        pack_files(**files)

    assert error.value.code is Problem.FILE
