"""Each model that can be ordered is compiled to the same answers, with gaps and unseen words in all columns."""

from pathlib import Path
from typing import Any

import pytest

from marmita.contract.columns import Kind
from marmita.contract.training_order import MODELS, TrainingOrder, Value
from marmita.training.estimators.fitting import Rows, Split, fit
from marmita.training.estimators.pack import Compiled, compile_fitted
from marmita.training.estimators.target import Target
from marmita.training.estimators.tasks import Classification, Regression, Task
from marmita.training.estimators.trial import MOST_USUAL
from marmita.training.from_csv.encoding import table_of
from marmita.training.from_csv.material import read
from marmita.training.from_csv.recipes import ESTIMATORS, Recipe, Size, candidates, linear
from marmita.training.packing import TOLERANCE
from tests.training.from_csv.files import mixed, write

SMALL: dict[str, Value] = {"n_estimators": 5, "max_iter": 20}


def compiled(recipe: Recipe, folder: Path) -> Compiled:
    """Fit a recipe on a table with all kinds of columns, and compile it. It raises an error if the two differ."""
    texts = mixed(400)
    task = "regression" if recipe.model.endswith(("Regressor", "Ridge")) else "classification"
    target, other = ("paid", "left") if task == "regression" else ("left", "paid")
    order = TrainingOrder.model_validate({"name": "m", "target": target, "drop": [other]})
    material = read(write(folder / "f.csv", texts), order)
    table = table_of(material.columns)
    train, unseen = (
        Rows(table.decode(lesson.rows), Target(target, lesson.labels)) for lesson in (material.seen, material.unseen)
    )
    fitted = fit(recipe.make(material.columns, 7), table, train)
    kind: Task = Classification(tuple(fitted.classes_.tolist())) if material.classes else Regression()
    return compile_fitted(fitted, Split(table, train, unseen), kind, 7, lambda _: train.target.values)


def small(model: str) -> dict[str, Value]:
    return {name: value for name, value in SMALL.items() if name in MODELS[model].parameters}


@pytest.mark.parametrize("model", MODELS)
def test_a_compiled_model_answers_gaps_and_unseen_words_like_the_estimator(model: str, tmp_path: Path) -> None:
    found = compiled(Recipe(model, small(model)), tmp_path)

    assert found.compared.difference <= TOLERANCE
    assert found.compared.rows > MOST_USUAL / 2
    columns = {column.name: column for column in found.split.table.columns}
    assert all(column.gaps for column in columns.values() if column.name in ("balance", "plan"))
    assert all(column.unseen for column in columns.values() if column.kind is Kind.CATEGORY)


@pytest.mark.parametrize("model", [name for name in MODELS if name.endswith("Classifier")])
def test_calibration_is_compiled_too(model: str, tmp_path: Path) -> None:
    assert compiled(Recipe(model, small(model), calibrated=True), tmp_path).compared.difference <= TOLERANCE


PARAMETERS: list[tuple[str, dict[str, Value]]] = [
    ("RandomForestClassifier", {"max_depth": 3, "max_features": "log2", "class_weight": "balanced"}),
    ("ExtraTreesClassifier", {"criterion": "entropy", "bootstrap": True, "max_leaf_nodes": 5}),
    ("LogisticRegression", {"C": 0.1, "class_weight": "balanced", "solver": "newton-cholesky"}),
    ("Ridge", {"alpha": 10.0, "fit_intercept": False}),
    ("GradientBoostingRegressor", {"loss": "absolute_error", "subsample": 0.5, "n_estimators": 5}),
    ("HistGradientBoostingRegressor", {"loss": "absolute_error", "max_bins": 20, "max_features": 0.5, "max_iter": 5}),
    ("HistGradientBoostingClassifier", {"class_weight": "balanced", "early_stopping": True, "max_iter": 5}),
]


@pytest.mark.parametrize(("model", "parameters"), PARAMETERS)
def test_parameters_are_compiled_too(model: str, parameters: dict[str, Value], tmp_path: Path) -> None:
    checked = MODELS[model].check(parameters)

    assert compiled(Recipe(model, checked), tmp_path).compared.difference <= TOLERANCE


@pytest.mark.parametrize("model", MODELS)
def test_scikit_learn_knows_all_parameters_that_may_be_ordered(model: str) -> None:
    known: set[str] = set(ESTIMATORS[model]().get_params())

    assert known >= MODELS[model].parameters.keys()


def test_a_forest_of_many_rows_has_larger_leaves_unless_they_are_ordered() -> None:
    large, small_one = Size(100_000, 20, 20, 2), Size(1_000, 20, 20, 2)

    assert Recipe("RandomForestClassifier").for_size(large).parameters == {"min_samples_leaf": 10}
    assert Recipe("RandomForestClassifier").for_size(small_one).parameters == {}
    assert Recipe("RandomForestClassifier", {"max_depth": 5}).for_size(large).parameters == {"max_depth": 5}
    assert Recipe("Ridge").for_size(large).parameters == {}


def test_costs_grow_with_what_is_fitted() -> None:
    size = Size(10_000, 20, 50, 3)

    for recipe in [*candidates("classification"), *candidates("regression")]:
        more: list[Any] = [size.of(20_000), size._replace(width=40, wide=100)]
        assert all(recipe.cost(each) > recipe.cost(size) for each in more)
        assert Recipe(recipe.model, recipe.parameters, calibrated=True).cost(size) > recipe.cost(size)
    assert linear("regression").cost(size) < 1
