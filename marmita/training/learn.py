"""The training of a model from a CSV: the file is read and judged, a model is chosen, fitted and packed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from marmita import discovery
from marmita.contract.columns import Floats
from marmita.contract.training_order import TrainingErrorCode
from marmita.contract.training_order import TrainingOrder as TrainingOrder
from marmita.registry.card import Data
from marmita.registry.onnx_model import OnnxModel
from marmita.registry.packed_model import PackedModel
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.fitting import Rows, Split, fit
from marmita.training.estimators.pack import CardNotes, Compiled, compile_fitted, pack_compiled
from marmita.training.estimators.target import Target
from marmita.training.estimators.tasks import Classification, Regression, Task
from marmita.training.examples import Doubles
from marmita.training.from_csv import material as files
from marmita.training.from_csv.choosing import FOLDS, Choice, Tried, choose, rows_for
from marmita.training.from_csv.encoding import table_of
from marmita.training.from_csv.errors import CannotLearnError as CannotLearnError
from marmita.training.from_csv.importance import importance
from marmita.training.from_csv.lessons import Lesson
from marmita.training.from_csv.material import Material
from marmita.training.from_csv.progress import Clock
from marmita.training.from_csv.progress import Progress as Progress
from marmita.training.from_csv.recipes import Recipe


def learn(file: Path, order: TrainingOrder, progress: Callable[[Progress], None]) -> PackedModel:
    """Train a model on a CSV, pack it, and promote it if it passes the gate.

    Raise `CannotLearnError`, and leave nothing in the store, if there can be no model.
    """
    clock = Clock(order.seconds, progress)
    if order.name in discovery.names():
        raise CannotLearnError(TrainingErrorCode.NAME_TAKEN, f"{order.name} is a model with code: choose another name")
    clock.tell("reading the file", 0.0)
    material = files.read(file, order)
    clock.tell("looking for leaks", 0.15)
    material = files.without_leaks(material, order.seed)
    files.check(material)
    choice = choose(material.seen, order, clock)
    try:
        model, not_compiled = _fit_best(material, choice, order, clock)
        clock.tell("scoring the model and its baselines", 0.85)
        candidates = _described(choice, not_compiled)
        packed = pack_compiled(model.compiled, model.task, _notes(material, model, candidates, order)).packed
    except CannotPackError as error:
        raise CannotLearnError(TrainingErrorCode.NOT_PACKED, str(error)) from error
    clock.tell("packed", 1.0)
    return packed


class _Model(NamedTuple):
    """A model that was fitted, and answers the same once it is compiled."""

    tried: Tried
    recipe: Recipe
    """Its recipe for the number of rows."""
    rows: int
    compiled: Compiled
    task: Task


def _fit_best(material: Material, choice: Choice, order: TrainingOrder, clock: Clock) -> tuple[_Model, dict[str, str]]:
    """Fit the best recipe that can be compiled to the same answers. Return why better ones could not be."""
    not_compiled: dict[str, str] = {}
    for tried in choice.ranked:
        try:
            return _fit(tried, material, choice, order, clock), not_compiled
        except CannotPackError as error:
            if tried is choice.ranked[-1] or error.code not in (Problem.CONVERSION, Problem.DIFFERENCE):
                raise
            print(f"  the next best recipe is taken: {error}")
            not_compiled[str(tried.recipe)] = str(error)
    raise AssertionError("there is no recipe")


def _fit(tried: Tried, material: Material, choice: Choice, order: TrainingOrder, clock: Clock) -> _Model:
    """Fit a recipe on the rows that are not held out, and compile it."""
    clock.tell(f"fitting the model: {tried.recipe.model}", 0.6)
    seen = material.seen.sample(rows_for(tried.recipe, material.seen, clock), order.seed)
    recipe = tried.recipe.for_size(seen.size)
    split = Split(table_of(material.columns), _rows(seen, order), _rows(material.unseen, order))
    fitted = fit(recipe.make(material.columns, order.seed), split.table, split.train)
    task: Task = Classification(tuple(fitted.classes_.tolist())) if material.classes else Regression()
    clock.tell("compiling the model, and comparing the two", 0.75)
    compiled = compile_fitted(fitted, split, task, order.seed, lambda _: choice.residuals(tried))
    return _Model(tried, recipe, len(seen.rows), compiled, task)


def _rows(lesson: Lesson, order: TrainingOrder) -> Rows:
    return Rows(table_of(lesson.columns).decode(lesson.rows), Target(order.target, lesson.labels))


def _described(choice: Choice, not_compiled: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the candidates as data, with the reasons why some could not be compiled."""
    candidates = [one.described() for one in choice.tried]
    for one in candidates:
        if one["recipe"] in not_compiled:
            one["not_compiled"] = not_compiled[one["recipe"]]
    return candidates


def _notes(
    material: Material, model: _Model, candidates: Sequence[Mapping[str, Any]], order: TrainingOrder
) -> CardNotes:
    """Return what the model's card says of the training."""
    return CardNotes(
        name=order.name,
        seed=order.seed,
        about=f"Predict {order.target} from {len(material.columns)} columns of a table.",
        data=Data(
            source=material.examples.source,
            licence="not stated",
            fingerprint=material.examples.fingerprint,
            rows=model.rows,
            rows_held_out=len(material.unseen.rows),
        ),
        parameters={"recipe": str(model.recipe), "order": order.model_dump(mode="json"), **material.described()},
        scores={"importance": importance(_prediction(model.compiled, material), material.unseen, order.seed)},
        cross_validation={
            **model.tried.scores,
            "folds": FOLDS,
            "rows": model.tried.rows,
            "candidates": candidates,
        },
        must_beat_linear=False,
    )


def _prediction(compiled: Compiled, material: Material) -> Callable[[Floats], Doubles]:
    """Return the function that predicts rows by the compiled model."""
    model = OnnxModel(compiled.graph)

    def predict(rows: Floats) -> Doubles:
        outputs: Doubles = model(rows).astype(np.float64)
        return outputs if material.classes else outputs[:, 0]

    return predict
