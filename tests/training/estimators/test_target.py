"""Truths: which classes and values can be learnt."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.target import MOST_CLASSES, Target, check_varies, class_names, classifies

ROWS = pd.DataFrame({"x": [1, 2, 3]})


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (pd.Series(["b", "a", "b"], dtype="category"), ["a", "b"]),
        ([0, 1, 0], ["0", "1"]),
        (pd.Series([3, 1, 2], dtype="Int64"), ["1", "2", "3"]),
        ([1.0, 2.0, 1.0], ["1", "2"]),
        ([True, False, True], ["false", "true"]),
        (pd.DataFrame({"y": [5, 6, 5]}), ["5", "6"]),
    ],
)
def test_labels_become_classes_with_names(labels: Any, names: list[str]) -> None:
    target = Target.read(labels, ROWS, classifies=True)
    classes = np.unique(target.values).tolist()

    assert class_names(classes) == names
    assert [names[place] for place in target.places(classes)] == [names[classes.index(one)] for one in target.values]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["a", "b"], True),
        (["a", None, "b"], True),
        ([0.5, 1.5, 2.0], True),
        ([["a"], ["b"], ["c"]], True),
        (np.zeros((3, 2)), True),
        (["a", 1, "b"], True),
        ([1.0, np.nan, 2.0], False),
        ([1.0, np.inf, 2.0], False),
        ([1.0, 1e39, 2.0], False),
        (["1", "2", "3"], False),
        (pd.Series([1, 2, 3], name="a\nb"), False),
        (pd.Series([1, 2, 3], index=[2, 0, 1]), False),
    ],
)
def test_truths_that_can_not_be_learnt_are_an_error(labels: Any, classes: bool) -> None:
    with pytest.raises(CannotPackError) as error:
        Target.read(labels, ROWS, classifies=classes)

    assert error.value.code is Problem.TARGET


@pytest.mark.parametrize(("values", "classes"), [(["a", "a"], True), ([1.0, 1.0], False), (range(101), True)])
def test_there_must_be_something_to_learn(values: Any, classes: bool) -> None:
    with pytest.raises(CannotPackError) as error:
        check_varies(np.array(values), classifies=classes)

    assert error.value.code is Problem.TARGET


def test_a_regressor_may_predict_more_values_than_a_classifier_has_classes() -> None:
    check_varies(np.arange(MOST_CLASSES + 1.0), classifies=False)


def test_a_class_that_the_estimator_has_not_learnt_is_named() -> None:
    with pytest.raises(CannotPackError, match="class c"):
        Target("y", np.array(["a", "c"], dtype=object)).places(["a", "b"])


def test_the_name_of_y_is_the_target() -> None:
    assert Target.read(pd.Series([1, 2, 3], name="price"), ROWS, classifies=False).name == "price"
    assert Target.read([1, 2, 3], ROWS, classifies=False).name == "y"


@pytest.mark.parametrize(
    "estimator",
    [
        object(),
        "model",
        KMeans(),
        LinearSVC(),
        VotingClassifier([("one", LogisticRegression())]),
    ],
)
def test_what_predicts_neither_probabilities_nor_values_is_not_supported(estimator: Any) -> None:
    with pytest.raises(CannotPackError) as error:
        classifies(estimator)

    assert error.value.code is Problem.ESTIMATOR


def test_classifiers_and_regressors_are_told_apart() -> None:
    assert classifies(LogisticRegression())
    assert not classifies(Ridge())
