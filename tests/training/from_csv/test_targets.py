"""What a target is follows from its texts, unless the order says it."""

from typing import Any

import numpy as np
import pytest

from marmita.contract.training_order import TrainingErrorCode, TrainingOrder
from marmita.training.from_csv.errors import CannotLearnError
from marmita.training.from_csv.targets import MAX_CLASSES, ClassTarget, Target, target_of
from tests.training.from_csv.files import profiled


def target(texts: list[str], decimal: str = ".", **order: Any) -> Target:
    made = TrainingOrder.model_validate({"name": "m", "target": "y", **order})
    return target_of(profiled(texts, "y"), made, decimal)


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["setosa", "virginica", "", "setosa"], ("setosa", "virginica")),
        (["True", "False"], ("False", "True")),
        (["1", "0", "1"], ("0", "1")),
        (["1.0", "0.0", "1"], ("0", "1")),
        (["10", "9", "2"], ("2", "9", "10")),
        (["-1", "1"], ("-1", "1")),
        (["01", "02"], ("01", "02")),
    ],
)
def test_words_and_few_whole_numbers_are_classes(texts: list[str], classes: tuple[str, ...]) -> None:
    found = target(texts)

    assert isinstance(found, ClassTarget)
    assert (found.task, found.classes) == ("classification", classes)


@pytest.mark.parametrize("texts", [["1.5", "2"], [str(place) for place in range(11)], ["1.234,5", "7"]])
def test_other_numbers_are_values(texts: list[str]) -> None:
    assert target(texts).task == "regression"


def test_the_order_says_what_numbers_are() -> None:
    assert target(["0", "1"], task="regression").task == "regression"
    assert target(["0", "1"], model="Ridge").task == "regression"
    assert target(["0.5", "1.5"], task="classification").task == "classification"
    assert target([str(place) for place in range(11)], model="RandomForestClassifier").task == "classification"


def test_truths_are_read() -> None:
    classes, values = target(["b", "a", "NA"]), target(["1,5", "1.000", "2"], decimal=",")

    assert [classes.read(text, 2) for text in ("a", " b ")] == [0, 1]
    assert np.isnan(classes.read("NA", 2))
    assert [values.read(text, 2) for text in ("1,5", "1.000")] == [1.5, 1000]
    assert np.isnan(values.read("", 2))


@pytest.mark.parametrize(
    ("texts", "order", "code"),
    [
        (["", "NA"], {}, TrainingErrorCode.TARGET_ALL_GAPS),
        (["a", "a"], {}, TrainingErrorCode.ONE_CLASS),
        (["1", "1.0"], {}, TrainingErrorCode.ONE_CLASS),
        ([f"c{place}" for place in range(MAX_CLASSES + 1)], {}, TrainingErrorCode.TOO_MANY_CLASSES),
        (["1.5", *map(str, range(200))], {"task": "classification"}, TrainingErrorCode.TOO_MANY_CLASSES),
        (["a" * 1_001, "b"], {}, TrainingErrorCode.INVALID_VALUE),
    ],
)
def test_what_cant_be_a_target_is_an_error(texts: list[str], order: dict[str, Any], code: TrainingErrorCode) -> None:
    with pytest.raises(CannotLearnError) as caught:
        target(texts, **order)

    assert (caught.value.code, caught.value.column) == (code, "y")


def test_a_text_for_a_regressor_names_its_line() -> None:
    with pytest.raises(CannotLearnError) as caught:
        target(["", "low", "high"], model="RandomForestRegressor")

    error = caught.value
    assert (error.code, error.row, error.value) == (TrainingErrorCode.TARGET_NOT_NUMERIC, 3, "'low'")


def test_one_text_among_numbers_is_an_error_when_it_is_read() -> None:
    found = target([*(str(place + 0.5) for place in range(50)), "n/d"])

    with pytest.raises(CannotLearnError) as caught:
        found.read("n/d", 52)

    error = caught.value
    assert (error.code, error.row, error.value) == (TrainingErrorCode.TARGET_NOT_NUMERIC, 52, "'n/d'")
