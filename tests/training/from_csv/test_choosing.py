"""The recipe is chosen by cross-validation, within the time that there is, and the same for the same seed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marmita.contract.columns import Column
from marmita.contract.training_order import TrainingOrder
from marmita.training.from_csv import choosing
from marmita.training.from_csv.choosing import Choice, choose, rows_for
from marmita.training.from_csv.lessons import Lesson
from marmita.training.from_csv.progress import Clock, Progress
from marmita.training.from_csv.recipes import Recipe

COLUMNS = tuple(Column(f"x{place}") for place in range(4))


def lesson(truth: Callable[[Any], Any], rows: int = 400, noise: float = 0.3, classes: tuple[str, ...] = ()) -> Lesson:
    generator = np.random.default_rng(4)
    features = generator.normal(size=(rows, 4)).astype(np.float32)
    values = truth(features) + generator.normal(0, noise, rows)
    truths = (values > np.median(values)).astype(np.float64) if classes else values.astype(np.float64)
    return Lesson(COLUMNS, features, truths, classes)


def choice(
    lesson: Lesson, seconds: float = 120, tell: Callable[[Progress], None] = lambda _: None, **order: Any
) -> Choice:
    made = TrainingOrder.model_validate({"name": "m", "target": "y", "seconds": seconds, **order})
    return choose(lesson, made, Clock(seconds, tell))


def clock(seconds: float) -> Clock:
    return Clock(seconds, lambda _: None)


def straight(rows: Any) -> Any:
    return rows @ np.array([1, 2, -1, 0.5])


def crooked(rows: Any) -> Any:
    return 2 * np.sign(rows[:, 0] * rows[:, 1])


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide rows into folds once, to save time."""
    monkeypatch.setattr(choosing, "_MOST_SHUFFLINGS", 1)


@pytest.mark.parametrize("classes", [("a", "b"), ()])
def test_a_straight_relation_is_left_to_a_linear_model(classes: tuple[str, ...]) -> None:
    assert choice(lesson(straight, classes=classes)).best.recipe.model in ("LogisticRegression", "Ridge")


@pytest.mark.parametrize("classes", [("a", "b"), ()])
def test_a_crooked_relation_is_left_to_trees(classes: tuple[str, ...]) -> None:
    found = choice(lesson(crooked, classes=classes))

    assert found.best.recipe.model not in ("LogisticRegression", "Ridge")


def test_all_candidates_are_told_with_their_scores() -> None:
    found = choice(lesson(straight))

    described = [one.described() for one in found.tried]
    assert [each["recipe"].partition("(")[0] for each in described] == [
        "Ridge",
        "HistGradientBoostingRegressor",
        "HistGradientBoostingRegressor",
        "ExtraTreesRegressor",
        "RandomForestRegressor",
    ]
    assert all({"mae", "rmse", "r2", "rows"} <= each.keys() for each in described)
    assert found.best.scores["mae"] == min(each["mae"] for each in described)


def test_predictions_are_those_of_models_that_have_not_seen_the_row() -> None:
    """Trees that know a row by heart would predict it exactly."""
    found = choice(lesson(lambda rows: rows[:, 0] * 0, noise=1), model="ExtraTreesRegressor")

    assert np.corrcoef(found.best.predicted, found.truths)[0, 1] < 0.3
    assert found.best.scores["r2"] < 0.1


def test_the_same_seed_chooses_the_same() -> None:
    found = lesson(crooked, classes=("a", "b"))
    one, same, other = choice(found), choice(found), choice(found, seed=8)

    assert str(one.best.recipe) == str(same.best.recipe)
    np.testing.assert_array_equal(one.best.predicted, same.best.predicted)
    assert (one.best.predicted != other.best.predicted).any()


def test_few_rows_are_divided_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_MOST_SHUFFLINGS", 4)
    few, many = (choice(lesson(straight, rows=rows), model="Ridge") for rows in (400, 2_500))

    assert (len(few.best.predicted), len(few.truths), few.best.rows) == (4 * 400, 4 * 400, 400)
    assert (few.best.predicted[:400] != few.best.predicted[400:800]).any()
    assert len(many.best.predicted) == 2_500


def test_an_order_for_a_model_is_followed() -> None:
    found = choice(lesson(straight), model="RandomForestRegressor", params={"n_estimators": 3, "max_depth": 2})

    assert str(found.best.recipe) == "RandomForestRegressor(n_estimators=3, max_depth=2)"
    assert len(found.tried) == 1


def test_less_time_means_fewer_candidates_and_rows() -> None:
    found = lesson(straight, rows=30_000)

    hurried = choice(found, seconds=5)

    skipped = [one for one in hurried.tried if one.skipped]
    assert {one.recipe.model for one in skipped} == {"ExtraTreesRegressor", "RandomForestRegressor"}
    assert hurried.best.rows < 30_000


def test_a_model_that_was_ordered_is_fitted_on_as_many_rows_as_there_is_time_for() -> None:
    found, forest = lesson(straight, rows=30_000), Recipe("RandomForestRegressor")

    assert rows_for(forest, found, clock(4_000)) == 30_000
    assert rows_for(forest, found, clock(32)) == 20_000
    assert rows_for(forest, found, clock(0.01)) == 2_000


def test_nothing_more_is_tried_when_it_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_LATE", 0.0)

    found = choice(lesson(crooked))

    assert found.best.recipe.model == "Ridge"
    assert [bool(one.skipped) for one in found.tried] == [False, True, True, True, True]


@pytest.fixture(scope="module")
def shrunken() -> Lesson:
    """A forest's votes shrink to the middle where each tree sees few of many columns that matter."""
    generator = np.random.default_rng(2)
    features = generator.normal(size=(1_500, 20)).astype(np.float32)
    truths = (features.sum(axis=1) > 0).astype(np.float64)
    return Lesson(tuple(Column(f"x{place}") for place in range(20)), features, truths, ("a", "b"))


FOREST: dict[str, Any] = {"model": "ExtraTreesClassifier", "params": {"n_estimators": 60}}


def test_probabilities_are_calibrated_if_it_helps(shrunken: Lesson) -> None:
    found = choice(shrunken, **FOREST)

    plain, calibrated = found.tried
    assert found.best.recipe.calibrated
    assert calibrated.scores["log_loss"] < 0.99 * plain.scores["log_loss"]
    assert calibrated.scores["calibration_error"] < plain.scores["calibration_error"]


def test_calibration_that_does_not_help_enough_is_told_and_not_used(
    shrunken: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "_HELPS", 0.1)

    found = choice(shrunken, **FOREST)

    assert not found.best.recipe.calibrated
    assert "log_loss" in found.tried[1].described()


def test_probabilities_that_are_calibrated_are_left_alone(shrunken: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_CALIBRATED", 1.0)

    found = choice(shrunken, **FOREST)

    assert not found.best.recipe.calibrated
    assert found.tried[1].skipped


def test_progress_is_told() -> None:
    told: list[Progress] = []

    choice(lesson(crooked), tell=told.append)

    done = [one.done for one in told]
    assert len(told) == 5
    assert done == sorted(done)
    assert 0 < done[0] < done[-1] < 1
    assert all(one.seconds_left is not None and one.seconds_left > 0 for one in told)


def test_a_class_may_be_missing_in_a_fold() -> None:
    found = lesson(straight, classes=("a", "b"))
    truths = found.truths.copy()
    truths[:2] = 2

    rare = replace(found, truths=truths, classes=("a", "b", "rare"))

    assert choice(rare, model="LogisticRegression").best.predicted.shape[1] == 3
