"""An order is checked before anything is started, down to the ranges of a model's parameters."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from marmita.contract.columns import Kind
from marmita.contract.training_order import AUTO, MODELS, TrainingOrder


def order(**fields: Any) -> TrainingOrder:
    return TrainingOrder.model_validate({"name": "churn", "target": "left", **fields})


def test_a_name_and_a_target_are_enough() -> None:
    made = order()

    assert (made.task, made.model, made.seed, made.seconds) == (AUTO, AUTO, 7, 120)
    assert made.known_model is None


def test_an_order_in_json_is_read() -> None:
    text = """{"name": "churn", "target": "left", "model": "RandomForestClassifier",
        "params": {"n_estimators": 50, "max_depth": null, "max_features": "sqrt"},
        "drop": ["id"], "kinds": {"zip": "category"}}"""

    made = TrainingOrder.model_validate_json(text)

    assert made.checked_params == {"n_estimators": 50, "max_depth": None, "max_features": "sqrt"}
    assert (made.drop, made.kinds) == (("id",), {"zip": Kind.CATEGORY})


def test_a_whole_number_is_a_share_where_a_share_is_wanted() -> None:
    """scikit-learn would take the 1 for one feature, and JSON does not keep 1.0 and 1 apart."""
    made = order(model="ExtraTreesRegressor", params={"max_features": 1, "n_estimators": 10.0})

    assert repr(made.checked_params) == "{'max_features': 1.0, 'n_estimators': 10}"


FOREST = {"model": "RandomForestClassifier"}


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../churn"},
        {"name": "Churn"},
        {"name": ""},
        {"name": "a" * 64},
        {"target": ""},
        {"target": "t" * 201},
        {"task": "clustering"},
        {"model": "DecisionTreeClassifier"},
        {"model": "sklearn.ensemble.RandomForestClassifier"},
        {"model": "os.system"},
        {"params": {"n_estimators": 10}},
        {**FOREST, "task": "regression"},
        {**FOREST, "params": {"n_estimators": 10_000_000}},
        {**FOREST, "params": {"n_estimators": 0}},
        {**FOREST, "params": {"n_estimators": 1.5}},
        {**FOREST, "params": {"n_estimators": True}},
        {**FOREST, "params": {"n_estimators": "100"}},
        {**FOREST, "params": {"n_estimators": [100]}},
        {**FOREST, "params": {"n_estimators": float("nan")}},
        {**FOREST, "params": {"max_features": "/etc/passwd"}},
        {**FOREST, "params": {"bootstrap": 1}},
        {**FOREST, "params": {"criterion": "squared_error"}},
        {**FOREST, "params": {"n_jobs": -1}},
        {**FOREST, "params": {"__class__": "x"}},
        {"model": "HistGradientBoostingRegressor", "params": {"loss": "poisson"}},
        {"model": "HistGradientBoostingClassifier", "params": {"categorical_features": "from_dtype"}},
        {"kinds": {"age": "text"}},
        {"kinds": {"left": "category"}},
        {"drop": ["left"]},
        {"drop": ["c"] * 1_001},
        {"seed": -1},
        {"seconds": 0},
        {"seconds": float("inf")},
        {"file": "/etc/passwd"},
    ],
)
def test_what_cant_be_ordered_is_an_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        order(**fields)


@pytest.mark.parametrize("name", MODELS)
def test_each_model_is_of_one_task(name: str) -> None:
    task = MODELS[name].task

    assert order(model=name, task=task).known_model is MODELS[name]
    assert task == ("classification" if name.endswith(("Classifier", "Regression")) else "regression")


def test_an_order_is_checked_without_the_libraries_of_training() -> None:
    code = (
        "import sys, marmita.contract.training_order; "
        "print({'pandas', 'sklearn', 'skl2onnx', 'onnx', 'scipy'} & set(sys.modules))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"
