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

from marmita.contract.training_order import TrainingOrder
from marmita.training.examples import Doubles
from marmita.training.from_csv.lessons import METRICS, Lesson
from marmita.training.from_csv.progress import Clock
from marmita.training.from_csv.recipes import CALIBRATION_FOLDS, Recipe, candidates
from marmita.training.scoring import calibration_error_by_chance

FOLDS = 5

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
    skipped: str = ""

    def described(self) -> dict[str, Any]:
        """Return the trial as data for the model's card."""
        plain = {name: value for name, value in self.scores.items() if isinstance(value, float)}
        outcome = {"not_tried": self.skipped} if self.skipped else {**plain, "rows": self.rows}
        return {"recipe": str(self.recipe), **outcome}


@dataclass(frozen=True)
class Choice:
    """The recipe that was chosen, with the rows to fit it on and all that were tried."""

    recipe: Recipe
    rows: int
    best: Tried
    tried: tuple[Tried, ...]
    predicted: Doubles
    """The predictions of the best for its rows, each by a model that had not seen the row."""
    truths: Doubles


def choose(lesson: Lesson, order: TrainingOrder, clock: Clock) -> Choice:
    """Compare the candidates, or judge the one that was ordered."""
    wanted = [Recipe(order.model, order.checked_params)] if order.known_model else candidates(lesson.task)
    budget = clock.seconds * _FOR_FITTING
    sized = [(recipe, rows_for(recipe, lesson, budget)) for recipe in wanted]
    recipes = [recipe for recipe, rows in sized if rows == len(lesson.rows)] or [min(sized, key=lambda one: -one[1])[0]]
    tried = [
        Tried(recipe, skipped=f"a fit on all rows would take {recipe.cost(lesson.size):.0f} s")
        for recipe in wanted
        if recipe not in recipes
    ]
    comparison = Comparison(lesson, recipes, order.seed, clock)
    outcomes = [comparison.judge(recipe) for recipe in recipes]
    best = comparison.best(outcomes)
    calibrated = comparison.calibrate(best)
    outcomes += [calibrated] if calibrated else []
    if calibrated and not calibrated.skipped and _is_worth_it(calibrated, best):
        best = calibrated
    rows = rows_for(best.recipe, lesson, budget)
    return Choice(
        recipe=best.recipe.for_size(lesson.size.of(rows)),
        rows=rows,
        best=best,
        tried=(*outcomes, *tried),
        predicted=comparison.predicted[str(best.recipe)],
        truths=comparison.sample.truths,
    )


def rows_for(recipe: Recipe, lesson: Lesson, seconds: float) -> int:
    """Return the number of rows on which a recipe can be fitted in about so many seconds."""
    size = lesson.size
    if recipe.cost(size) <= seconds:
        return size.rows
    fitting = [rows for rows in _SAMPLES if rows < size.rows and recipe.cost(size.of(rows)) <= seconds]
    return fitting[0] if fitting else min(_SAMPLES[-1], size.rows)


class Comparison:
    """A comparison of recipes by cross-validation on the same rows in the same folds."""

    def __init__(self, lesson: Lesson, recipes: Sequence[Recipe], seed: int, clock: Clock) -> None:
        budget = clock.seconds * _FOR_COMPARING
        self.sample = lesson.sample(_rows_to_compare(lesson, recipes, budget), seed)
        self.predicted: dict[str, Doubles] = {}
        """The predictions of each recipe."""
        self._folds = self.sample.folds(FOLDS, seed)
        self._lesson = lesson
        self._seed = seed
        self._clock = clock
        self._budget = budget
        self._spent = 0.0
        self._costs = [_cost(recipe, self.sample, len(self.sample.rows)) for recipe in recipes]

    def judge(self, recipe: Recipe) -> Tried:
        """Cross-validate a recipe, unless it is too late."""
        if self.predicted and self._clock.elapsed > _LATE * self._clock.seconds:
            return Tried(recipe, skipped="there was no time left")
        self._tell(recipe)
        start = perf_counter()
        predicted = self._predict(recipe)
        self.predicted[str(recipe)] = predicted
        self._spent += perf_counter() - start
        return Tried(recipe, self.sample.scores(predicted), len(self.sample.rows))

    def best(self, outcomes: Sequence[Tried]) -> Tried:
        """Return the best of those that were tried."""
        tried = [one for one in outcomes if not one.skipped]
        metric = METRICS[self.sample.task]
        if not self.sample.higher_is_better:
            return min(tried, key=lambda one: one.scores[metric])
        highest = max(one.scores[metric] for one in tried)
        as_good = [one for one in tried if one.scores[metric] >= highest - _AS_GOOD]
        return min(as_good, key=lambda one: one.scores["log_loss"])

    def calibrate(self, best: Tried) -> Tried | None:
        """Try the best recipe of a classifier with calibrated probabilities."""
        if not self.sample.classes or best.recipe.model == "LogisticRegression":
            return None
        recipe = replace(best.recipe, calibrated=True)
        chance = calibration_error_by_chance(self.predicted[str(best.recipe)])
        if best.scores["calibration_error"] <= chance + _CALIBRATED:
            return Tried(recipe, skipped="the probabilities are calibrated")
        smallest = np.bincount(self.sample.truths.astype(np.intp)).min()
        if smallest < FOLDS * CALIBRATION_FOLDS:
            return Tried(recipe, skipped="there are too few rows of a class to calibrate")
        left = max(self._budget - sum(self._costs), self._budget * _FOR_CALIBRATING)
        if _cost(recipe, self.sample, len(self.sample.rows)) > left or not self._fits(recipe):
            return Tried(recipe, skipped="there is no time to calibrate")
        return self.judge(recipe)

    def _tell(self, recipe: Recipe) -> None:
        """Tell what is compared. The time that is left is estimated by how long the others took."""
        place = len(self.predicted)
        past, rest = sum(self._costs[:place]), sum(self._costs[place:])
        pace = self._spent / past if past else 1.0
        left = pace * (rest + recipe.cost(self._lesson.size)) + _FOR_PACKING_S
        done = _FROM + (_TO - _FROM) * past / (past + rest)
        self._clock.tell(f"comparing models: {recipe.model}", done, left)

    def _fits(self, recipe: Recipe) -> bool:
        """Tell whether there is time to fit a recipe on all rows."""
        return rows_for(recipe, self._lesson, self._clock.seconds * _FOR_FITTING) == len(self._lesson.rows)

    def _predict(self, recipe: Recipe) -> Doubles:
        """Predict each row with a model that was fitted on the other folds."""
        sample, parts = self.sample, []
        sized = recipe.for_size(sample.size)
        for fold in range(FOLDS):
            tested = self._folds == fold
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
