"""The training of a model from a CSV: the file is read and judged, a model is chosen, fitted and packed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from marmita import discovery
from marmita.contract.columns import Floats
from marmita.contract.training_order import TrainingErrorCode
from marmita.contract.training_order import TrainingOrder as TrainingOrder
from marmita.registry.card import Data
from marmita.registry.onnx_model import OnnxModel
from marmita.registry.packed_model import PackedModel
from marmita.training.estimators.errors import CannotPackError
from marmita.training.estimators.fitting import Rows, Split, fit
from marmita.training.estimators.pack import CardNotes, Compiled, compile_fitted, pack_compiled
from marmita.training.estimators.target import Target
from marmita.training.estimators.tasks import Classification, Regression, Task
from marmita.training.examples import Doubles
from marmita.training.from_csv import material as files
from marmita.training.from_csv.choosing import FOLDS, Choice, choose
from marmita.training.from_csv.encoding import table_of
from marmita.training.from_csv.errors import CannotLearnError as CannotLearnError
from marmita.training.from_csv.importance import importance
from marmita.training.from_csv.lessons import Lesson
from marmita.training.from_csv.material import Material
from marmita.training.from_csv.progress import Clock
from marmita.training.from_csv.progress import Progress as Progress


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
        return _pack(material, choice, order, clock)
    except CannotPackError as error:
        raise CannotLearnError(TrainingErrorCode.NOT_PACKED, str(error)) from error


def _pack(material: Material, choice: Choice, order: TrainingOrder, clock: Clock) -> PackedModel:
    """Fit the model that was chosen, and pack it."""
    clock.tell(f"fitting the model: {choice.recipe.model}", 0.6)
    seen, unseen = material.seen.sample(choice.rows, order.seed), material.unseen
    table = table_of(material.columns)
    train, held_out = (
        Rows(table.decode(lesson.rows), Target(order.target, lesson.labels)) for lesson in (seen, unseen)
    )
    fitted = fit(choice.recipe.make(material.columns, order.seed), table, train)
    task: Task = Classification(tuple(fitted.classes_.tolist())) if material.classes else Regression()
    clock.tell("compiling the model, and comparing the two", 0.75)
    split = Split(table, train, held_out)
    compiled = compile_fitted(fitted, split, task, order.seed, lambda _: choice.truths - choice.predicted)
    clock.tell("scoring the model and its baselines", 0.85)
    notes = CardNotes(
        name=order.name,
        seed=order.seed,
        about=f"Predict {order.target} from {len(material.columns)} columns of a table.",
        data=Data(
            source=material.examples.source,
            licence="not stated",
            fingerprint=material.examples.fingerprint,
            rows=len(seen.rows),
            rows_held_out=len(unseen.rows),
        ),
        parameters={"recipe": str(choice.recipe), "order": order.model_dump(mode="json"), **material.described()},
        scores={"importance": importance(_prediction(compiled, seen), unseen, order.seed)},
        cross_validation=_described(choice),
        must_beat_linear=False,
    )
    packed = pack_compiled(compiled, task, notes).packed
    clock.tell("packed", 1.0)
    return packed


def _prediction(compiled: Compiled, lesson: Lesson) -> Callable[[Floats], Doubles]:
    """Return the function that predicts rows by the compiled model."""
    model = OnnxModel(compiled.graph)

    def predict(rows: Floats) -> Doubles:
        outputs = model(rows).astype(float)
        return outputs if lesson.classes else outputs[:, 0]

    return predict


def _described(choice: Choice) -> dict[str, Any]:
    """Return the comparison as data for the model's card."""
    return {
        **choice.best.scores,
        "folds": FOLDS,
        "rows": choice.best.rows,
        "candidates": [one.described() for one in choice.tried],
    }
