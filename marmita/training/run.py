"""A run of a training script: its command line, and its record in the database and in MLflow."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bentoml.exceptions import BentoMLConfigException

from marmita.records.database.database import DatabaseDownError
from marmita.records.operations import training_runs
from marmita.registry.packed_model import PackedModel
from marmita.runtime.recording import database
from marmita.settings import settings
from marmita.training.examples import SEED, CannotTrainError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pictures = Callable[[PackedModel], Mapping[str, "Figure"]]
"""A function from a packed model to its plots, by name."""


def arguments(model: str, about: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all training scripts have."""
    parser = argparse.ArgumentParser(prog=f"python -m training.{model}", description=about)
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed gives the same model")
    parser.add_argument("--run", type=_id, metavar="ID", help="the id of this run in the records")
    return parser


def from_rows(
    model: str, about: str | None, train: Callable[[int, bool], PackedModel], pictures: Pictures | None = None
) -> None:
    """Run the training script of a table model. `train` takes the seed, and whether to learn from labelled rows."""
    parser = arguments(model, about)
    parser.add_argument("--with-labels", action="store_true", help="learn from labelled rows of the records too")
    options = parser.parse_args()
    try:
        train_and_record(model, lambda: train(options.seed, options.with_labels), options.run, pictures)
    except DatabaseDownError as error:
        sys.exit(f"error: the labelled rows can't be read: {error}. Nothing was saved.")
    except CannotTrainError as error:
        sys.exit(f"error: {error}")


def train_and_record(
    model: str, train: Callable[[], PackedModel], run: str | None = None, pictures: Pictures | None = None
) -> PackedModel:
    """Train, and record the outcome. Train even if the records or MLflow can't be written."""
    began = datetime.now(UTC)
    run = _begin(model, run)
    try:
        packed = train()
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        _end(run, training_runs.FAILED, reason)
        _log(model, began, run, training_runs.FAILED, reason)
        raise
    card = packed.card
    status = training_runs.PROMOTED if card.verdict.promoted else training_runs.REJECTED
    headline = card.headline
    scores = {headline.metric: headline.value, headline.baseline: headline.baseline_value}
    _end(run, status, card.verdict.reason, packed.tag, scores)
    _log(model, began, run, status, card.verdict.reason, packed, pictures)
    return packed


def _id(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise argparse.ArgumentTypeError("must be 32 hexadecimal digits")
    return text


def _begin(model: str, run: str | None) -> str | None:
    try:
        return training_runs.begin(database(), model, run)
    except Exception as error:
        print(f"This run is not recorded: {error}")
        return None


def _end(
    run: str | None, status: str, reason: str, tag: str | None = None, scores: dict[str, float] | None = None
) -> None:
    if run is None:
        return
    try:
        training_runs.end(database(), run, status, reason, tag, scores)
    except Exception as error:
        print(f"The outcome of this run is not recorded: {error}")


def _log(
    model: str,
    began: datetime,
    run: str | None,
    status: str,
    reason: str,
    packed: PackedModel | None = None,
    pictures: Pictures | None = None,
) -> None:
    """Log the run to MLflow if a server is configured. Import MLflow only then, as it is slow."""
    try:
        address = settings().mlflow_uri.get_secret_value()
    except BentoMLConfigException as error:
        print(f"This run is not logged to MLflow: {error}")
        return
    if not address:
        return
    from marmita.training.experiments import LoggedRun, log

    print(log(LoggedRun(model, began, run, status, reason, packed, pictures)))
