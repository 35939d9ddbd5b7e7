"""A graph answers as its estimator does, whatever the columns are called and whatever the estimator is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from marmita.contract.columns import UNSEEN
from marmita.registry.onnx_model import OnnxModel
from marmita.training.conversion import in_single_precision, to_bytes
from marmita.training.estimators.frame import Table, at
from marmita.training.estimators.graph import rounding, to_table_graph
from marmita.training.estimators.trial import answer
from tests.training.estimators import sample
from tests.training.estimators.sample import prepared


def filled(*more: Any) -> Any:
    return make_pipeline(SimpleImputer(), *more)


def forest(**more: Any) -> Any:
    return RandomForestClassifier(5, random_state=3, **more)


def linear() -> Any:
    return LogisticRegression(max_iter=500)


def selected() -> ColumnTransformer:
    words = make_column_selector(dtype_exclude=["number", "bool"])
    return ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore"), words)], remainder=filled(StandardScaler())
    )


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: make_pipeline(prepared(filled(StandardScaler())), linear()),
    "columns by dtype": lambda: make_pipeline(selected(), linear()),
    "forest": lambda: make_pipeline(prepared(filled()), forest()),
    "scaled forest": lambda: make_pipeline(prepared(filled(StandardScaler())), forest(class_weight="balanced")),
    "extra trees": lambda: make_pipeline(
        prepared(filled(RobustScaler())), ExtraTreesClassifier(5, random_state=3, min_samples_leaf=2)
    ),
    "tree": lambda: make_pipeline(prepared(filled()), DecisionTreeClassifier(random_state=3)),
    "boosting": lambda: make_pipeline(prepared(), HistGradientBoostingClassifier(max_iter=5)),
    "scaled boosting": lambda: make_pipeline(prepared(StandardScaler()), HistGradientBoostingClassifier(max_iter=5)),
    "ordinal boosting": lambda: make_pipeline(
        prepared(words=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
        HistGradientBoostingClassifier(max_iter=5),
    ),
    "gradient boosting": lambda: make_pipeline(
        prepared(filled(), TargetEncoder()), GradientBoostingClassifier(n_estimators=5, random_state=3)
    ),
    "filled words": lambda: make_pipeline(
        prepared(filled(), make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())), linear()
    ),
    "words filled with a word": lambda: make_pipeline(
        prepared(
            SimpleImputer(strategy="median"),
            make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(drop="first")),
        ),
        linear(),
    ),
    "perceptron": lambda: make_pipeline(
        prepared(filled(StandardScaler())), MLPClassifier(hidden_layer_sizes=(8,), max_iter=50, random_state=3)
    ),
    "vote": lambda: make_pipeline(
        prepared(filled()), VotingClassifier([("one", linear()), ("two", forest())], voting="soft", weights=[2, 1])
    ),
    "vote of pipelines": lambda: VotingClassifier(
        [("one", make_pipeline(prepared(filled()), linear())), ("two", make_pipeline(prepared(filled()), forest()))],
        voting="soft",
    ),
    "stack": lambda: make_pipeline(
        prepared(filled()), StackingClassifier([("one", forest())], final_estimator=linear(), cv=2)
    ),
    "grid search": lambda: GridSearchCV(
        make_pipeline(prepared(filled()), linear()), {"logisticregression__C": [1]}, cv=2
    ),
    "sigmoid calibration": lambda: make_pipeline(
        prepared(filled()), CalibratedClassifierCV(GaussianNB(), method="sigmoid", cv=2)
    ),
    "union": lambda: make_pipeline(
        prepared(filled(StandardScaler())), FeatureUnion([("all", FunctionTransformer()), ("main", PCA(2))]), linear()
    ),
    "steps that do nothing": lambda: Pipeline(
        [("prepared", prepared(filled())), ("nothing", "passthrough"), ("none", None), ("model", linear())]
    ),
    "frames between the steps": lambda: make_pipeline(
        prepared(filled()), HistGradientBoostingClassifier(max_iter=5)
    ).set_output(transform="pandas"),
    "power": lambda: make_pipeline(prepared(filled(PowerTransformer())), linear()),
    "neighbours": lambda: make_pipeline(prepared(filled(StandardScaler())), KNeighborsClassifier(3)),
    "support vectors": lambda: make_pipeline(
        prepared(filled(StandardScaler())), CalibratedClassifierCV(SVC(), method="sigmoid", cv=2)
    ),
    "ridge": lambda: make_pipeline(prepared(filled(StandardScaler())), Ridge()),
    "forest of values": lambda: make_pipeline(prepared(filled()), RandomForestRegressor(5, random_state=3)),
    "extra trees of values": lambda: make_pipeline(prepared(filled()), ExtraTreesRegressor(5, random_state=3)),
    "boosting of values": lambda: make_pipeline(prepared(), HistGradientBoostingRegressor(max_iter=5)),
    "perceptron of values": lambda: make_pipeline(
        prepared(filled(StandardScaler())), MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=3)
    ),
    "vote of values": lambda: make_pipeline(
        prepared(filled()),
        VotingRegressor([("one", Ridge()), ("two", RandomForestRegressor(5, random_state=3))], weights=[2, 1]),
    ),
}


def fit(estimator: Any, frame: pd.DataFrame, truths: Any) -> tuple[Any, Table, OnnxModel]:
    table, values = Table.read(frame)
    table = table.learn(values)
    fitted = in_single_precision(rounding(clone(estimator)).fit(table.native(values), np.asarray(truths)))
    width = len(fitted.classes_) if is_classifier(fitted) else 1
    return fitted, table, OnnxModel(to_bytes(to_table_graph(fitted, table.columns, width)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_graph_answers_as_the_estimator(kind: str) -> None:
    estimator, frame = ESTIMATORS[kind](), sample.table()
    learnt, asked = frame.iloc[:300], frame.iloc[300:]
    truths = sample.answers(learnt) if is_classifier(estimator) else sample.values(learnt)

    fitted, table, compiled = fit(estimator, learnt, truths)

    values = table.read_more(asked)
    expected = answer(fitted, table.native(values))
    np.testing.assert_allclose(compiled(table.encode(values)), expected, atol=2e-5)
    assert (compiled.input, compiled.width) == ("features", 6)
    output = "probabilities" if is_classifier(estimator) else "value"
    assert compiled.outputs == {output: expected.shape[1]}


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], ["a", "b", "c"], [0, 1], [3, 5, 9], [False, True]],
    ids=["two words", "three words", "two numbers", "three numbers", "booleans"],
)
@pytest.mark.parametrize("model", [linear, forest, lambda: HistGradientBoostingClassifier(max_iter=5)])
def test_classes_of_every_kind_are_in_the_estimators_order(labels: list[Any], model: Callable[[], Any]) -> None:
    frame = sample.table()[[sample.SCORE, sample.VISITS]]
    truths = np.array(labels)[(frame[sample.SCORE].rank(pct=True) * len(labels) * 0.999).astype(int)]

    fitted, table, compiled = fit(model(), frame, truths)

    _, values = Table.read(frame)
    np.testing.assert_allclose(compiled(table.encode(values)), answer(fitted, table.native(values)), atol=1e-5)


def test_words_alone_need_no_column_transformer() -> None:
    frame = sample.table()[sample.WORDS]

    fitted, table, compiled = fit(make_pipeline(filled_words(), linear()), frame, sample.answers(sample.table()))

    _, values = Table.read(frame)
    np.testing.assert_allclose(compiled(table.encode(values)), fitted.predict_proba(frame), atol=1e-5)


def filled_words() -> Any:
    return make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))


def test_columns_that_are_dropped_or_in_another_order_are_found() -> None:
    frame = sample.table().fillna({sample.PRICE: 0.0, sample.CITY: "c0"})
    order = [sample.SCORE, sample.PRICE, sample.VISITS]
    transformer = ColumnTransformer(
        [("words", OneHotEncoder(), [sample.CITY]), ("numbers", StandardScaler(), order)], remainder="drop"
    )

    fitted, table, compiled = fit(make_pipeline(transformer, linear()), frame, sample.answers(frame))

    _, values = Table.read(frame)
    np.testing.assert_allclose(compiled(table.encode(values)), fitted.predict_proba(frame), atol=1e-5)


@pytest.mark.parametrize(
    "chosen",
    [[2, 0, 1], [-1, 0], slice(1, 3), np.array([True, False, True]), slice("b", "c"), ["c", "a"], lambda _: ["c"]],
)
def test_columns_may_be_chosen_in_every_way(chosen: Any) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"]).round(3)
    transformer = ColumnTransformer([("some", StandardScaler(), chosen)])

    fitted, table, compiled = fit(make_pipeline(transformer, linear()), frame, frame["c"] > frame["a"])

    _, values = Table.read(frame)
    np.testing.assert_allclose(compiled(table.encode(values)), answer(fitted, table.native(values)), atol=1e-5)


@pytest.mark.parametrize("place", [0.4, 3.7])
def test_a_place_is_read_as_a_whole_number(place: float) -> None:
    fitted, _, compiled, row = one_row()

    row[0, 4] = place

    whole = row.copy()
    whole[0, 4] = int(place)
    np.testing.assert_array_equal(compiled(row), compiled(whole))
    assert fitted


@pytest.mark.parametrize("place", [4, 1e30, -7, np.inf, -np.inf])
def test_a_place_that_no_category_has_is_an_unseen_word(place: float) -> None:
    """Whoever sends tensors may send anything. It must not cost the other rows of the batch their answers."""
    _, _, compiled, row = one_row()
    unseen = row.copy()
    row[0, 4], unseen[0, 4] = place, UNSEEN

    np.testing.assert_array_equal(compiled(row), compiled(unseen))


def one_row() -> tuple[Any, Table, OnnxModel, Any]:
    frame = sample.table()
    fitted, table, compiled = fit(make_pipeline(prepared(filled()), linear()), frame, sample.answers(frame))
    _, values = Table.read(frame)
    return fitted, table, compiled, table.encode(at(values, np.array([0])))


def test_the_estimator_is_not_changed() -> None:
    frame = sample.table()
    fitted, table, _ = fit(
        make_pipeline(prepared(), HistGradientBoostingClassifier(max_iter=5)), frame, frame[sample.MEMBER]
    )
    before = answer(fitted, table.native(Table.read(frame)[1]))

    to_table_graph(fitted, table.columns, 2)

    np.testing.assert_array_equal(answer(fitted, table.native(Table.read(frame)[1])), before)
    assert [name for name, _ in fitted.steps][1] == "single_precision"
