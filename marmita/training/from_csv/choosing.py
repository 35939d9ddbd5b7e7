"""The choice of a recipe by cross-validation, within the time that a training has.

What is tried, and on how many rows, follows from the size of the table and the time allowed, by the recipes' estimated
costs: measured times would give another model on each run. Only a training that is late in spite of it leaves
candidates out by the clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from marmita.contract.training_order import MAX_SEED, TrainingOrder
from marmita.training.examples import Doubles
from marmita.training.from_csv.lessons import METRICS, Lesson
from marmita.training.from_csv.progress import Clock
from marmita.training.from_csv.recipes import CALIBRATION_FOLDS, Recipe, candidates
from marmita.training.scoring import calibration_error_by_chance

FOLDS = 5

_SHUFFLED_ROWS = 2_000
"""Fewer rows are divided into folds several times, as their scores depend much on the folds."""
_MOST_SHUFFLINGS = 5
_FOR_COMPARING = 0.3
"""The share of the time that goes to the comparison, and so on."""
_FOR_FITTING = 0.25
_FOR_CALIBRATING = 0.25
"""The share of the comparison's time that a calibration may take in any case."""
_LATE = 0.65
"""The share of the time after which no further candidate is tried."""
_FOR_PACKING_S = 3.0
"""About how long it takes to compile, compare and pack a model."""
_SAMPLES = (100_000, 50_000, 20_000, 10_000, 5_000, 2_000)
"""The numbers of rows to compare on, if there is no time for all."""
_AS_GOOD = 0.005
"""The difference in macro-F1 below which candidates are told apart by their log loss."""
_HELPS = 0.99
"""The log loss with calibration, as a share of that without, up to which it is worth it."""
_CALIBRATED = 0.02
"""The calibration error, beyond that of chance, up to which there is nothing to mend."""
_FROM, _TO = 0.25, 0.6
"""The shares of the whole training that are done before and after the comparison."""


@dataclass(frozen=True)
class Tried:
    """A recipe with its scores by cross-validation, or with the reason why it was not tried."""

    recipe: Recipe
    scores: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    predicted: Doubles = field(default_factory=lambda: np.empty(0), repr=False)
    """The predictions of the rows for each shuffling, each by a model that had not seen the row."""
    skipped: str = ""

    def described(self) -> dict[str, Any]:
        """Return the trial as data for the model's card."""
        plain = {name: value for name, value in self.scores.items() if isinstance(value, float)}
        outcome = {"not_tried": self.skipped} if self.skipped else {**plain, "rows": self.rows}
        return {"recipe": str(self.recipe), **outcome}


@dataclass(frozen=True)
class Choice:
    """The recipes that were tried."""

    ranked: tuple[Tried, ...]
    """Those that can be fitted, the best first."""
    tried: tuple[Tried, ...]
    """All candidates, in the order in which they were tried."""
    truths: Doubles
    """The truths of the predictions."""

    @property
    def best(self) -> Tried:
        return self.ranked[0]

    def residuals(self, tried: Tried) -> Doubles:
        """Return what the predictions of values by a recipe missed."""
        return self.truths - tried.predicted


def choose(lesson: Lesson, order: TrainingOrder, clock: Clock) -> Choice:
    """Compare the candidates, or judge the one that was ordered."""
    wanted = [Recipe(order.model, order.checked_params)] if order.known_model else candidates(lesson.task)
    most = {recipe: rows_for(recipe, lesson, clock) for recipe in wanted}
    recipes = [recipe for recipe in wanted if most[recipe] == len(lesson.rows)] or [max(wanted, key=most.__getitem__)]
    comparison = Comparison(lesson, recipes, order.seed, clock)
    outcomes = [comparison.judge(recipe) for recipe in recipes]
    ranked = comparison.rank(outcomes)
    calibrated = comparison.calibrate(ranked[0])
    if calibrated and not calibrated.skipped and _is_worth_it(calibrated, ranked[0]):
        ranked = [calibrated, *ranked]
    left_out = [
        Tried(recipe, skipped=f"a fit on all rows would take {recipe.cost(lesson.size):.0f} s")
        for recipe in wanted
        if recipe not in recipes
    ]
    return Choice(tuple(ranked), (*outcomes, *([calibrated] if calibrated else []), *left_out), comparison.truths)


def rows_for(recipe: Recipe, lesson: Lesson, clock: Clock) -> int:
    """Return the number of rows on which there is time to fit a recipe."""
    size, seconds = lesson.size, clock.seconds * _FOR_FITTING
    if recipe.cost(size) <= seconds:
        return size.rows
    fitting = [rows for rows in _SAMPLES if rows < size.rows and recipe.cost(size.of(rows)) <= seconds]
    return fitting[0] if fitting else min(_SAMPLES[-1], size.rows)


class Comparison:
    """A comparison of recipes by cross-validation on the same rows in the same folds."""

    def __init__(self, lesson: Lesson, recipes: Sequence[Recipe], seed: int, clock: Clock) -> None:
        budget = clock.seconds * _FOR_COMPARING
        self.sample = lesson.sample(_rows_to_compare(lesson, recipes, budget), seed)
        shufflings = int(np.clip(_SHUFFLED_ROWS // len(self.sample.rows), 1, _MOST_SHUFFLINGS))
        self._folds = [self.sample.folds(FOLDS, (seed + number) % MAX_SEED) for number in range(shufflings)]
        self.truths = np.tile(self.sample.truths, shufflings)
        self._lesson = lesson
        self._seed = seed
        self._clock = clock
        self._budget = budget
        self._judged = 0
        self._spent = 0.0
        self._costs = [_cost(recipe, self.sample, len(self.sample.rows)) for recipe in recipes]

    def judge(self, recipe: Recipe) -> Tried:
        """Cross-validate a recipe, unless it is too late."""
        if self._judged and self._clock.elapsed > _LATE * self._clock.seconds:
            return Tried(recipe, skipped="there was no time left")
        self._tell(recipe)
        start = perf_counter()
        predicted = self._predict(recipe)
        self._judged += 1
        self._spent += perf_counter() - start
        scores = replace(self.sample, truths=self.truths).scores(predicted)
        return Tried(recipe, scores, len(self.sample.rows), predicted)

    def rank(self, outcomes: Sequence[Tried]) -> list[Tried]:
        """Return those that were tried, the best first."""
        metric = METRICS[self.sample.task]
        sign = -1 if self.sample.higher_is_better else 1
        ranked = sorted((one for one in outcomes if not one.skipped), key=lambda one: sign * one.scores[metric])
        if not self.sample.classes:
            return ranked
        as_good = [one for one in ranked if one.scores[metric] >= ranked[0].scores[metric] - _AS_GOOD]
        best = min(as_good, key=lambda one: one.scores["log_loss"])
        return [best, *(one for one in ranked if one is not best)]

    def calibrate(self, best: Tried) -> Tried | None:
        """Try the best recipe of a classifier with calibrated probabilities."""
        if not self.sample.classes or best.recipe.model == "LogisticRegression":
            return None
        recipe = replace(best.recipe, calibrated=True)
        chance = calibration_error_by_chance(best.predicted)
        if best.scores["calibration_error"] <= chance + _CALIBRATED:
            return Tried(recipe, skipped="the probabilities are calibrated")
        smallest = np.bincount(self.sample.truths.astype(np.intp)).min()
        if smallest < FOLDS * CALIBRATION_FOLDS:
            return Tried(recipe, skipped="there are too few rows of a class to calibrate")
        left = max(self._budget - sum(self._costs), self._budget * _FOR_CALIBRATING)
        fits = rows_for(recipe, self._lesson, self._clock) == len(self._lesson.rows)
        if _cost(recipe, self.sample, len(self.sample.rows)) > left or not fits:
            return Tried(recipe, skipped="there is no time to calibrate")
        return self.judge(recipe)

    def _tell(self, recipe: Recipe) -> None:
        """Tell what is compared. The time that is left is estimated by how long the others took."""
        place = self._judged
        past, rest = sum(self._costs[:place]), sum(self._costs[place:])
        pace = self._spent / past if past else 1.0
        left = pace * (rest + recipe.cost(self._lesson.size)) + _FOR_PACKING_S
        done = _FROM + (_TO - _FROM) * past / (past + rest)
        self._clock.tell(f"comparing models: {recipe.model}", done, left)

    def _predict(self, recipe: Recipe) -> Doubles:
        """Predict each row with a model that was fitted on the other folds, once for each shuffling."""
        return np.concatenate([self._predict_folds(recipe, folds) for folds in self._folds])

    def _predict_folds(self, recipe: Recipe, folds: npt.NDArray[np.int64]) -> Doubles:
        sample, parts = self.sample, []
        sized = recipe.for_size(sample.size)
        for fold in range(FOLDS):
            tested = folds == fold
            fitted = sample.at(~tested).fit(sized.make(sample.columns, self._seed))
            parts.append((np.flatnonzero(tested), sample.at(tested).predict(fitted)))
        predicted = np.concatenate([part for _, part in parts])
        return predicted[np.argsort(np.concatenate([places for places, _ in parts]))]


def _rows_to_compare(lesson: Lesson, recipes: Sequence[Recipe], seconds: float) -> int:
    """Return on how many rows these recipes can be compared in about so many seconds."""
    all_rows = len(lesson.rows)
    sizes = [all_rows, *(rows for rows in _SAMPLES if rows < all_rows)]
    return next((rows for rows in sizes if sum(_cost(one, lesson, rows) for one in recipes) <= seconds), sizes[-1])


def _cost(recipe: Recipe, lesson: Lesson, rows: int) -> float:
    """Return about how many seconds the cross-validation of a recipe takes."""
    return FOLDS * recipe.cost(lesson.size.of(rows * (FOLDS - 1) // FOLDS))


def _is_worth_it(calibrated: Tried, plain: Tried) -> bool:
    better = calibrated.scores["log_loss"] <= _HELPS * plain.scores["log_loss"]
    return bool(better and calibrated.scores["macro_f1"] >= plain.scores["macro_f1"] - _AS_GOOD)
