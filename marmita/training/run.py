"""One run of a training script: its command line, and how it is recorded."""

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
"""Draws what there is to see of a model."""


def arguments(model: str, about: str | None) -> argparse.ArgumentParser:
    """What all training scripts can be told."""
    parser = argparse.ArgumentParser(prog=f"python -m training.{model}", description=about)
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed gives the same model")
    parser.add_argument("--run", type=_id, metavar="ID", help="the id under which this run is remembered")
    return parser


def from_rows(
    model: str, about: str | None, train: Callable[[int, bool], PackedModel], pictures: Pictures | None = None
) -> None:
    """The script of a model that is made from rows. `train` takes the seed, and whether to take labelled rows too."""
    parser = arguments(model, about)
    parser.add_argument("--with-labels", action="store_true", help="learn from labelled rows of the records too")
    options = parser.parse_args()
    try:
        remembered(model, lambda: train(options.seed, options.with_labels), options.run, pictures)
    except DatabaseDownError as error:
        sys.exit(f"error: the labelled rows can't be read: {error}. Nothing was saved.")
    except CannotTrainError as error:
        sys.exit(f"error: {error}")


def remembered(
    model: str, train: Callable[[], PackedModel], run: str | None = None, pictures: Pictures | None = None
) -> PackedModel:
    """Train, and remember what came of it. What goes wrong with remembering is no reason not to train."""
    began = datetime.now(UTC)
    run = _begun(model, run)
    try:
        packed = train()
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        _ended(run, training_runs.FAILED, reason)
        _logged(model, began, run, training_runs.FAILED, reason)
        raise
    card = packed.card
    status = training_runs.PROMOTED if card.verdict.promoted else training_runs.REJECTED
    headline = card.headline
    scores = {headline.metric: headline.value, headline.baseline: headline.baseline_value}
    _ended(run, status, card.verdict.reason, packed.tag, scores)
    _logged(model, began, run, status, card.verdict.reason, packed, pictures)
    return packed


def _id(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise argparse.ArgumentTypeError("must be 32 hexadecimal digits")
    return text


def _begun(model: str, run: str | None) -> str | None:
    try:
        return training_runs.begin(database(), model, run)
    except Exception as error:
        print(f"This run is not remembered: {error}")
        return None


def _ended(
    run: str | None, status: str, reason: str, tag: str | None = None, scores: dict[str, float] | None = None
) -> None:
    if run is None:
        return
    try:
        training_runs.end(database(), run, status, reason, tag, scores)
    except Exception as error:
        print(f"What came of this run is not remembered: {error}")


def _logged(
    model: str,
    began: datetime,
    run: str | None,
    status: str,
    reason: str,
    packed: PackedModel | None = None,
    pictures: Pictures | None = None,
) -> None:
    """Log the run to MLflow, if there is one. Without it nothing of it is imported."""
    try:
        named = settings().mlflow_uri.get_secret_value()
    except BentoMLConfigException as error:
        print(f"This run is not logged to MLflow: {error}")
        return
    if not named:
        return
    from marmita.training.experiments import LoggedRun, log

    print(log(LoggedRun(model, began, run, status, reason, packed, pictures)))
