"""A CSV becomes a packed model that is served, with all that was found out about it on its card."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from marmita.contract.columns import columns_of
from marmita.contract.training_order import TrainingErrorCode
from marmita.registry.champions import champion
from marmita.registry.packed_model import PackedModel
from marmita.registry.tables import TableStore
from marmita.runtime.table_model import TableModel
from marmita.training import learn as learning
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.pack import compile_fitted
from marmita.training.from_csv import choosing
from marmita.training.learn import CannotLearnError, Progress, TrainingOrder, learn
from tests.stores import using_store
from tests.training.from_csv.files import mixed, write

Learn = Callable[..., PackedModel]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learn]:
    """Learns from columns, in a store for this module."""
    folder = tmp_path_factory.mktemp("learn")
    (folder / "models").mkdir()

    def learn_it(columns: dict[str, list[object]], target: str, name: str = "churn", **order: Any) -> PackedModel:
        made = TrainingOrder.model_validate({"name": name, "target": target, **order})
        return learn(write(folder / "upload.csv", columns), made, order.pop("progress", lambda _: None))

    with using_store(folder / "models"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "_MOST_SHUFFLINGS", 1)
        yield learn_it


@pytest.fixture(scope="module")
def churn(learnt: Learn) -> PackedModel:
    return learnt(mixed(600), "left", drop=["paid"])


def test_a_classifier_is_promoted_with_its_contract(churn: PackedModel) -> None:
    assert churn.card.verdict.promoted
    assert champion("churn") == churn
    assert (churn.contract["task"], churn.contract["classes"]) == ("classification", ["leaves", "stays"])
    kinds = {column.name: column.kind for column in columns_of(churn.contract)}
    assert kinds == {"age": "integer", "balance": "number", "plan": "category", "city": "category", "active": "boolean"}


def test_the_card_tells_all(churn: PackedModel) -> None:
    card = churn.card

    assert {"accuracy", "macro_f1", "log_loss", "calibration_error", "confusion", "importance"} <= card.held_out.keys()
    importance = {each["column"]: each["importance"] for each in card.held_out["importance"]}
    assert importance.keys() == {"age", "balance", "plan", "city", "active"}
    assert min(importance["age"], importance["balance"], importance["plan"]) > max(importance["city"], 0)
    assert set(card.baselines) == {"majority class", "logistic regression"}
    assert card.headline.baseline == "majority class"
    assert card.data.rows + card.data.rows_held_out == 600
    assert len(card.cross_validation["candidates"]) >= 5
    assert card.cross_validation["macro_f1"] > 0.8
    columns = {each["name"]: each for each in card.parameters["columns"]}
    assert columns["paid"]["use"] == "dropped"
    assert columns["balance"]["gaps"] == pytest.approx(0.1, abs=0.05)
    assert card.parameters["order"]["drop"] == ["paid"]
    json.dumps(card.model_dump(mode="json"), allow_nan=False)


async def test_the_model_is_served_and_answers_gaps_and_unseen_words(churn: PackedModel) -> None:
    model = TableModel.load(TableStore(reserved=()).get(churn.tag))
    rows = [
        {"age": 80, "balance": 150.5, "plan": "pro", "city": "city 3", "active": True},
        {"age": 20, "balance": None, "plan": None, "city": "nowhere", "active": False},
    ]

    answers = await model.answer(model.read(json.dumps({"rows": rows}).encode()))

    assert [answer["class"] for answer in answers] == ["leaves", "stays"]


def test_a_regressor_has_an_interval_that_holds(learnt: Learn) -> None:
    packed = learnt(mixed(600), "paid", name="payment", drop=["left"])

    card = packed.card
    assert card.verdict.promoted
    assert packed.contract["task"] == "regression"
    assert set(packed.compiled().outputs) == {"value", "low", "high"}
    assert {"mae", "rmse", "r2"} <= card.held_out.keys()
    assert card.held_out["interval_coverage"] == pytest.approx(0.9, abs=0.07)
    assert card.held_out["mae"] < card.baselines["mean"]["mae"] / 3


def test_the_same_seed_gives_the_same_model(learnt: Learn, churn: PackedModel) -> None:
    again, other = (learnt(mixed(600), "left", drop=["paid"], seed=seed) for seed in (7, 8))

    assert again.verify() == churn.verify()
    assert again.card.held_out == churn.card.held_out
    assert other.card.data.rows_held_out == churn.card.data.rows_held_out


def test_a_model_is_learned_by_name(learnt: Learn) -> None:
    packed = learnt(
        mixed(300), "left", name="forest", model="RandomForestClassifier", params={"n_estimators": 7, "random_state": 3}
    )

    assert packed.card.parameters["recipe"].startswith("RandomForestClassifier(n_estimators=7, random_state=3)")


def test_the_next_best_recipe_is_taken_if_the_best_can_not_be_compiled(
    learnt: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fitted: Any, *others: Any) -> Any:
        if "Hist" in repr(fitted):
            raise CannotPackError(Problem.DIFFERENCE, "it is not the same")
        return compile_fitted(fitted, *others)

    monkeypatch.setattr(learning, "compile_fitted", refuse)

    packed = learnt(mixed(300), "left", name="second", drop=["paid"])

    candidates = packed.card.cross_validation["candidates"]
    refused = [one["recipe"] for one in candidates if "not_compiled" in one]
    assert refused
    assert all(recipe.startswith("HistGradientBoosting") for recipe in refused)
    assert "Hist" not in packed.card.parameters["recipe"]
    with pytest.raises(CannotLearnError) as caught:
        learnt(mixed(300), "left", name="second", drop=["paid"], model="HistGradientBoostingClassifier")
    assert caught.value.code is TrainingErrorCode.NOT_PACKED


def test_nothing_to_learn_is_told_and_not_promoted(learnt: Learn) -> None:
    generator = np.random.default_rng(9)
    noise = {"x": generator.normal(size=300).tolist(), "y": generator.normal(size=300).tolist()}

    packed = learnt(noise, "y", name="noise", model="ExtraTreesRegressor", params={"n_estimators": 5})

    assert not packed.card.verdict.promoted
    assert "nothing to learn here" in packed.card.verdict.reason
    assert champion("noise") is None


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "'; DROP TABLE models; --", "<img src=x onerror=alert(1)>", "a,b", "preço.R$", "%s{x}"]
)
def test_a_column_may_be_called_anything(learnt: Learn, name: str) -> None:
    columns = {name: mixed(200)["age"], "b": mixed(200)["plan"], "paid": mixed(200)["paid"]}

    packed = learnt(columns, "paid", name="names", model="Ridge")

    assert packed.contract["features"][0]["name"] == name
    assert packed.card.parameters["columns"][0]["name"] == name


def test_iris_is_learned_as_it_comes(learnt: Learn) -> None:
    iris = load_iris(as_frame=True)
    columns = {name: iris.frame[name].tolist() for name in iris.feature_names}
    columns["species"] = [iris.target_names[place] for place in iris.target]

    packed = learnt(columns, "species", name="iris")

    assert packed.contract["classes"] == ["setosa", "versicolor", "virginica"]
    assert packed.card.cross_validation["accuracy"] > 0.93
    assert packed.card.verdict.promoted


def test_a_linear_model_that_is_the_best_is_promoted(learnt: Learn) -> None:
    diabetes = load_diabetes(as_frame=True)

    packed = learnt({name: diabetes.frame[name].tolist() for name in diabetes.frame}, "target", name="diabetes")

    assert packed.card.parameters["recipe"] == "Ridge()"
    assert packed.card.verdict.promoted


def test_progress_goes_from_nothing_to_all(tmp_path: Path, empty_store: Path) -> None:
    told: list[Progress] = []

    learn(write(tmp_path / "f.csv", mixed(100)), TrainingOrder(name="m", target="paid", model="Ridge"), told.append)

    done = [each.done for each in told]
    assert (done[0], done[-1]) == (0, 1)
    assert done == sorted(done)
    assert len({each.step for each in told}) == len(told)


def test_the_name_of_a_model_with_code_is_taken(tmp_path: Path) -> None:
    with pytest.raises(CannotLearnError) as caught:
        learn(tmp_path / "none.csv", TrainingOrder(name="wine_quality", target="quality"), lambda _: None)

    assert caught.value.code is TrainingErrorCode.NAME_TAKEN


def test_an_error_leaves_nothing_in_the_store(tmp_path: Path, empty_store: Path) -> None:
    columns = mixed(100)
    columns["left"] = ["stays"] * 100

    with pytest.raises(CannotLearnError) as caught:
        learn(write(tmp_path / "f.csv", columns), TrainingOrder(name="m", target="left"), lambda _: None)

    assert caught.value.code is TrainingErrorCode.ONE_CLASS
    assert list(empty_store.iterdir()) == []
