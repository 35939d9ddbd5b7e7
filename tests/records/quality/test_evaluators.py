"""Judging: what a label may be, and scores that were worked out by hand."""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest

from marmita import discovery
from marmita.records.quality.evaluators import (
    ClassEvaluator,
    Evaluator,
    LabelledAnswers,
    ValueEvaluator,
    table_evaluator,
)
from marmita.records.quality.path_evaluator import PathEvaluator
from marmita.registry.packed_model import PackedModel
from tests.messages import mentions

UNKNOWN = np.nan
COLOURS = ClassEvaluator("colours", ("x",), ("red", "green", "blue"))
GRADES = ValueEvaluator("grades", ("x",), target="grade", low=0, high=10)
PATHS = PathEvaluator("paths", window=5, horizon=2)

EXAMS: Any
STOCKS: Any
WINES: Any
EXAMS, STOCKS, WINES = (discovery.runner(name).evaluator for name in ("fetal_health", "stock_forecast", "wine_quality"))


def scores(evaluator: Evaluator, answered: LabelledAnswers) -> dict[tuple[str, str], float | None]:
    return {(score, part): value for score, part, value in evaluator.score(answered)}


def coloured(*said_and_true: tuple[int, float]) -> LabelledAnswers:
    outputs = np.array([np.eye(3)[said] for said, _ in said_and_true], dtype=np.float32).reshape(-1, 3)
    truths = np.array([[true] for _, true in said_and_true]).reshape(-1, 1)
    return LabelledAnswers(np.zeros((len(outputs), 1), np.float32), outputs, truths)


def test_a_classifier_is_scored_by_class() -> None:
    answered = coloured((0, 0), (0, 0), (0, 1), (1, 1), (1, UNKNOWN))

    assert scores(COLOURS, answered) == {
        ("accuracy", "all"): 0.75,
        ("precision", "red"): pytest.approx(2 / 3),
        ("recall", "red"): 1.0,
        ("precision", "green"): 1.0,
        ("recall", "green"): 0.5,
        ("precision", "blue"): None,
        ("recall", "blue"): None,
    }
    assert COLOURS.confusion(answered) == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_a_classifiers_error_is_a_multiple_of_the_one_on_held_out_rows() -> None:
    held_out = {"confusion": [[80, 5, 0], [5, 8, 0], [0, 0, 2]]}  # 10 of 100 wrong

    assert COLOURS.error_ratio(coloured((0, 0), (0, 1), (1, 1), (1, 1)), held_out) == pytest.approx(2.5)
    assert COLOURS.error_ratio(coloured((0, UNKNOWN)), held_out) is None
    assert COLOURS.error_ratio(coloured((0, 1)), {"confusion": [[5, 0, 0], [0, 5, 0], [0, 0, 5]]}) is None


def test_a_regressor_is_scored_with_its_interval() -> None:
    outputs = np.array([[5, 4, 6], [6, 5, 7], [7, 6, 8]], dtype=np.float32)
    answered = LabelledAnswers(np.zeros((3, 1), np.float32), outputs, np.array([[5.0], [8.0], [UNKNOWN]]))

    assert scores(GRADES, answered) == {("mae", "all"): 1.0, ("mse", "all"): 2.0, ("coverage", "all"): 0.5}
    assert GRADES.error_ratio(answered, {"mae": 0.4}) == pytest.approx(2.5)
    assert GRADES.confusion(answered) is None


def path(
    closes: list[float], lows: list[float], highs: list[float], truths: list[float], last: float
) -> LabelledAnswers:
    window = np.array([[100, 100, 100, 100, last]], dtype=np.float32)
    return LabelledAnswers(window, np.array([closes + lows + highs], dtype=np.float32), np.array([truths]))


def test_a_forecaster_is_scored_by_day() -> None:
    answered = path([52, 54], [45, 45], [55, 55], [51, 60], last=50)

    assert scores(PATHS, answered) == {
        ("mae", "day_1"): 1.0,
        ("mse", "day_1"): 1.0,
        ("coverage", "day_1"): 1.0,
        ("mae_percent", "day_1"): 2.0,
        ("mae", "day_2"): 6.0,
        ("mse", "day_2"): 36.0,
        ("coverage", "day_2"): 0.0,
        ("mae_percent", "day_2"): 12.0,
        ("mae", "all"): 3.5,
        ("mse", "all"): 18.5,
        ("coverage", "all"): 0.5,
        ("mae_percent", "all"): 7.0,
    }


def test_days_that_have_not_come_are_not_scored() -> None:
    found = scores(PATHS, path([52, 54], [45, 45], [55, 55], [51, UNKNOWN], last=50))

    assert found["mae", "day_2"] is None
    assert found["mae", "all"] == found["mae", "day_1"] == 1.0


def test_a_forecasters_error_is_held_against_that_of_no_change_on_the_same_days() -> None:
    """Persistence errs by 1 and 10, so by its card the model should err by 0.5 and 10; it errs by 1 and 6."""
    held_out = {"days": [{"mae_ratio": 0.5}, {"mae_ratio": 1.0}]}
    answered = path([52, 54], [45, 45], [55, 55], [51, 60], last=50)

    assert PATHS.error_ratio(answered, held_out) == pytest.approx(7 / 10.5)
    assert PATHS.error_ratio(path([52, 54], [45, 45], [55, 55], [51, UNKNOWN], last=50), held_out) == pytest.approx(2)


@pytest.mark.parametrize("evaluator", [EXAMS, WINES, STOCKS], ids=lambda evaluator: evaluator.model)
def test_nothing_labelled_is_no_score_and_no_error(evaluator: Evaluator) -> None:
    nothing = LabelledAnswers(
        np.empty((0, evaluator.width), np.float32),
        np.empty((0, evaluator.outputs), np.float32),
        np.empty((0, evaluator.steps)),
    )

    found = evaluator.score(nothing)

    assert found
    assert all(score.value is None for score in found)
    assert evaluator.independent(nothing.rows).tolist() == []


@pytest.mark.parametrize("evaluator", [EXAMS, WINES, STOCKS], ids=lambda evaluator: evaluator.model)
def test_what_is_watched_goes_by_the_names_of_the_reference(
    champions: dict[str, PackedModel], evaluator: Evaluator
) -> None:
    reference = champions[evaluator.model].reference
    rows, outputs = np.ones((2, evaluator.width), np.float32), np.ones((2, evaluator.outputs), np.float32)

    watched = evaluator.inputs(rows) | evaluator.predictions(rows, outputs)

    assert set(evaluator.inputs(rows)) == set(reference["features"])
    assert set(evaluator.predictions(rows, outputs)) == set(reference["predictions"])
    assert all(values.shape == (2,) and values.dtype == np.float64 for values in watched.values())


@pytest.mark.parametrize("evaluator", [EXAMS, WINES, STOCKS], ids=lambda evaluator: evaluator.model)
def test_a_models_card_has_the_error_that_labels_are_compared_with(
    champions: dict[str, PackedModel], evaluator: Evaluator
) -> None:
    truths = np.full((1, evaluator.steps), 2.0)
    wrong = LabelledAnswers(
        np.ones((1, evaluator.width), np.float32), np.zeros((1, evaluator.outputs), np.float32), truths
    )

    found = evaluator.error_ratio(wrong, champions[evaluator.model].card.held_out)

    assert found is not None
    assert found > 1


@pytest.mark.parametrize(
    ("evaluator", "truth", "read"),
    [
        (EXAMS, "suspect", [(0, 1.0)]),
        (WINES, 6, [(0, 6.0)]),
        (WINES, 5.5, [(0, 5.5)]),
        (STOCKS, [25.5, 26], [(1, 25.5), (2, 26.0)]),
    ],
)
def test_a_truth_becomes_steps_and_values(evaluator: Evaluator, truth: object, read: list[tuple[int, float]]) -> None:
    assert evaluator.read(truth) == read


CAN_BE_TRUE = {
    EXAMS.model: ("normal", "suspect", "pathological"),
    WINES.model: (0, 10),
    STOCKS.model: (1, 10, "closes"),
}
NOT_TRUE_OF_ANY = (
    "null",
    "true",
    "false",
    "{}",
    '{"truth": 6}',
    '{"0": 25.0}',
    "[]",
    "[[]]",
    "[[25.0]]",
    "[" * 200 + "6" + "]" * 200,
    "[null]",
    "[true]",
    "[{}]",
    '["25"]',
    '["normal"]',
    "[25.0, null]",
    "[25.0, [26.0]]",
    "-1",
    "10.5",
    "1e308",
    "1e400",
    "-1e400",
    "9" * 400,
    "-" + "9" * 400,
    "NaN",
    "[NaN]",
    "[Infinity]",
    "[1e400]",
    "[1e10]",
    "[25.0, 0]",
    "[25.0, -0.0]",
    "[-25.0]",
    f"[{'9' * 400}]",
    str([1.0] * 11),
    str([1.0] * 10_000),
    '""',
    '"6"',
    '"25"',
    '"Normal"',
    '"normal "',
    '"healthy"',
    r'"\u0000"',
    r'"\ud800"',
)
"""JSON that is no truth about an exam, nor about a wine, nor about a stock."""
NOT_TRUE_OF_THIS = (
    (EXAMS, "0"),
    (EXAMS, "1"),
    (EXAMS, "6"),
    (EXAMS, "[25.0]"),
    (WINES, '"normal"'),
    (WINES, "[6]"),
    (STOCKS, '"normal"'),
    (STOCKS, "6"),
    (STOCKS, "25.0"),
)


@pytest.mark.parametrize(
    ("evaluator", "truth"),
    [*product((EXAMS, WINES, STOCKS), NOT_TRUE_OF_ANY), *NOT_TRUE_OF_THIS],
    ids=lambda value: value.model if isinstance(value, Evaluator) else value[:20].encode("unicode_escape").decode(),
)
def test_what_can_not_be_true_is_refused_with_what_can(evaluator: Evaluator, truth: str) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        evaluator.read(json.loads(truth))

    assert mentions(str(refused.value), *CAN_BE_TRUE[evaluator.model])


@pytest.mark.parametrize("truth", ["0", "10", "1e1", "5e-324"])
def test_a_number_within_its_range_can_be_true(truth: str) -> None:
    assert WINES.read(json.loads(truth)) == [(0, float(truth))]


def test_the_same_row_asked_again_is_no_second_witness() -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2], [1, 2]], dtype=np.float32)

    assert len(WINES.independent(rows)) == 2
    assert {tuple(row) for row in rows[WINES.independent(rows)].tolist()} == {(1.0, 2.0), (3.0, 4.0)}


def test_of_windows_that_share_days_one_counts() -> None:
    generator = np.random.default_rng(0)
    one, other = (np.cumsum(generator.normal(size=300)) + 100 for _ in range(2))
    daily = np.lib.stride_tricks.sliding_window_view(one, STOCKS.window)
    rows = np.concatenate([daily, other[np.newaxis, : STOCKS.window]]).astype(np.float32)

    assert len(daily) == 241
    assert STOCKS.independent(rows[::-1]).tolist() == [0, 1, 58, 115, 172, 229]


def test_the_returns_that_are_watched_are_of_many_days() -> None:
    """All stocks fall on the last day: that is one day's news, and not that of all windows."""
    rows = np.full((STOCKS.window - 1, STOCKS.window), 20.0, dtype=np.float32)
    rows[:, -1] = 18

    returns = STOCKS.inputs(rows)["daily_return"]

    assert np.count_nonzero(returns) == 1


def test_of_very_many_windows_some_are_enough() -> None:
    rows = np.random.default_rng(1).uniform(10, 20, size=(3000, STOCKS.window)).astype(np.float32)

    assert len(STOCKS.independent(rows)) == 2000


def test_the_evaluator_of_a_table_classifier_has_its_columns_and_classes() -> None:
    contract = {"task": "classification", "features": [{"name": "a b"}, {"name": "preço R$"}], "classes": ["0", "1"]}

    assert table_evaluator("churn", contract) == ClassEvaluator("churn", ["a b", "preço R$"], ["0", "1"])


@pytest.mark.parametrize(("truth", "valid"), [(-3e38, True), (0.5, True), (3.5e38, False), ("1", False)])
def test_the_evaluator_of_a_table_regressor_takes_every_number_that_a_model_can_return(
    truth: object, valid: bool
) -> None:
    evaluator = table_evaluator("rent", {"task": "regression", "features": [{"name": "x"}]})

    if valid:
        assert evaluator.read(truth) == [(0, truth)]
    else:
        with pytest.raises(ValueError, match="must be a number"):
            evaluator.read(truth)


def test_gaps_are_no_values_to_watch() -> None:
    rows = np.array([[1, np.nan], [np.nan, np.nan], [3, 2]], dtype=np.float32)

    found = ClassEvaluator("two", ("x", "y"), ("no", "yes")).inputs(rows)

    assert {name: values.tolist() for name, values in found.items()} == {"x": [1.0, 3.0], "y": [2.0]}
