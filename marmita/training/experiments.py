"""Training runs in MLflow: parameters, metrics, plots and the model."""

import importlib.metadata
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Any, NamedTuple

import numpy as np
import onnx

from marmita.records.operations import training_runs
from marmita.registry import tracking
from marmita.registry.card import Card
from marmita.registry.packed_model import PackedModel
from marmita.training.run import Pictures

MODEL = "model"
"""The folder of a run's artifacts with the model in MLflow's format, which contains the packed model."""
MOST_CHARACTERS = 4000
"""The length to which a reason is cut: MLflow rejects a run with a longer tag."""

_ALREADY_THERE = "RESOURCE_ALREADY_EXISTS"


@dataclass(frozen=True)
class LoggedRun:
    """A run that has ended."""

    model: str
    began: datetime
    run: str | None
    """The id of the training run in the records."""
    status: str
    reason: str
    packed: PackedModel | None
    pictures: Pictures | None


class Measured(NamedTuple):
    """One value of a metric. The step is a day of a path, or 0."""

    name: str
    value: float
    step: int = 0


def log(attempt: LoggedRun) -> str:
    """Log a run, and return a message. An error is a message, too, so that the trained model is not lost to it."""
    missing = _parts(attempt)
    try:
        tracking.bounded(lambda: _log_parts(attempt, missing))
    except tracking.TrackingError as error:
        return f"MLflow at {tracking.address()} has not got {', '.join(missing)}: {error}"
    return f"Logged to MLflow at {tracking.address()}"


def _parts(attempt: LoggedRun) -> list[str]:
    """Return the names of the parts of a run, in the order in which they are logged."""
    if attempt.packed is None:
        return ["the run"]
    parts = ["the run", "its card and pictures", "the model", "its version in the registry"]
    return [*parts, "the champion's name"] if attempt.status == training_runs.PROMOTED else parts


def _log_parts(attempt: LoggedRun, missing: list[str]) -> None:
    """Log all parts of a run. Remove the name of each logged part from `missing`."""
    client, packed = tracking.client(), attempt.packed
    run = _log_run(client, attempt)
    missing.pop(0)
    if packed is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        client.log_artifacts(run, _write_artifacts(packed, attempt.pictures, Path(folder, "artifacts")))
        missing.pop(0)
        client.log_artifacts(run, _write_mlflow_model(packed, Path(folder, MODEL)), MODEL)
        missing.pop(0)
    version = _register(client, run, packed, attempt.status)
    missing.pop(0)
    if attempt.status == training_runs.PROMOTED:
        client.set_registered_model_alias(packed.name, tracking.CHAMPION, version)


def _log_run(client: Any, attempt: LoggedRun) -> str:
    """Log a finished run with its parameters and metrics. Return MLflow's id of it.

    The run is complete without its artifacts: logging these may still fail.
    """
    from mlflow.entities import Metric, Param

    card = attempt.packed.card if attempt.packed else None
    began, now = (int(moment.timestamp() * 1000) for moment in (attempt.began, datetime.now(UTC)))
    tags = {
        "status": attempt.status,
        "reason": attempt.reason[:MOST_CHARACTERS],
        "command": " ".join(["python", "-m", f"training.{attempt.model}", *sys.argv[1:]]),
        "training_run": attempt.run or "",
        tracking.TAG: attempt.packed.tag if attempt.packed else "",
    }
    run: str = client.create_run(
        _experiment(client, attempt.model),
        start_time=began,
        tags={name: value for name, value in tags.items() if value},
        run_name=attempt.packed.version if attempt.packed else attempt.status,
    ).info.run_id
    if card:
        metrics = [Metric(name, value, now, step) for name, value, step in _metrics(card)]
        client.log_batch(run, metrics, [Param(name, str(value)) for name, value in _parameters(card).items()])
    client.set_terminated(run, "FAILED" if attempt.status == training_runs.FAILED else "FINISHED", now)
    return run


def _experiment(client: Any, name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        if error.error_code != _ALREADY_THERE:
            raise
    return str(client.get_experiment_by_name(name).experiment_id)


def _parameters(card: Card) -> dict[str, object]:
    data = {f"data.{name}": value for name, value in card.data if value is not None}
    libraries = {f"library.{name}": version for name, version in card.libraries.items()}
    return {"seed": card.seed} | card.parameters | data | libraries


def _metrics(card: Card) -> list[Measured]:
    headline = card.headline
    found = [Measured(headline.metric, headline.value), Measured("baseline", headline.baseline_value)]
    parts = {"held_out": card.held_out, "baselines": card.baselines, "cross_validation": card.cross_validation}
    return found + [
        measured._replace(name=f"{part}.{measured.name}") for part, all_ in parts.items() for measured in _flat(all_)
    ]


def _flat(scores: Mapping[str, Any]) -> Iterator[Measured]:
    """Yield nested scores as metrics with dotted names. The scores of days are one metric with a step for each day."""
    for name, value in scores.items():
        plain = name.replace(" ", "_")
        match value:
            case int() | float():
                yield Measured(plain, float(value))
            case Mapping():
                yield from (one._replace(name=f"{plain}.{one.name}") for one in _flat(value))
            case [{"day": _}, *_]:
                for day in value:
                    yield from (Measured(f"{plain}.{one.name}", one.value, day["day"]) for one in _flat(day))


def _write_artifacts(packed: PackedModel, pictures: Pictures | None, folder: Path) -> str:
    """Write the card and the plots into a folder, and return it."""
    (folder / "pictures").mkdir(parents=True)
    (folder / "card.json").write_text(packed.card.model_dump_json(indent=2))
    for name, figure in (pictures(packed) if pictures else {}).items():
        figure.savefig(folder / "pictures" / f"{name}.png", dpi=110)
    return str(folder)


def _write_mlflow_model(packed: PackedModel, folder: Path) -> str:
    """Write the ONNX model in the format of `mlflow.onnx`, and the packed model beside it. Return the folder."""
    import mlflow.onnx
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    model = packed.compiled()
    rows: ColSpec | TensorSpec = TensorSpec(np.dtype(np.float32), (-1, model.width), model.input)
    outputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(np.float32), (-1, width), name) for name, width in model.outputs.items()
    ]
    mlflow.onnx.save_model(
        onnx.load_model_from_string(packed.verify()),
        str(folder),
        signature=ModelSignature(Schema([rows]), Schema(outputs)),
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in ("onnx", "onnxruntime", "numpy")],
        onnx_execution_providers=["CPUExecutionProvider"],
        metadata={tracking.TAG: packed.tag},
    )
    copytree(packed.path, folder / "packed")
    return str(folder)


def _register(client: Any, run: str, packed: PackedModel, status: str) -> str:
    """Register a new version of the model, and return its number."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(packed.name, description=packed.card.about)
    except MlflowException as error:
        if error.error_code != _ALREADY_THERE:
            raise
    version = client.create_model_version(
        packed.name,
        source=f"runs:/{run}/{MODEL}",
        run_id=run,
        tags={tracking.TAG: packed.tag, "status": status},
        description=packed.card.verdict.reason,
        await_creation_for=0,
    )
    return str(version.version)
