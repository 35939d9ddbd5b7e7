"""The process of a training from an uploaded dataset: `python -m marmita.training.learn_job TRAINING RUN`.

A trainer starts it, and reads its messages.
"""

import os
import sys
from dataclasses import asdict

from bentoml.exceptions import NotFound

from marmita.contract.training_order import TrainingOrder
from marmita.records.database.database import DatabaseDownError
from marmita.records.operations import trainings
from marmita.records.operations.trainings import StopCode
from marmita.registry.datasets import dataset_store
from marmita.registry.packed_model import PackedModel
from marmita.runtime.recording import database
from marmita.training import messages
from marmita.training.learn import CannotLearnError, Progress, learn
from marmita.training.run import train_and_record

_NICE = 10
"""A training yields to the requests that the same machine answers."""


def main(id: str, run: str) -> int:
    os.nice(_NICE)
    try:
        training = trainings.get(database(), id)
    except DatabaseDownError as error:
        print(f"the order can't be read: {error}")
        return messages.TRY_AGAIN
    if training is None:
        raise LookupError(f"there is no training {id}")
    order = TrainingOrder.model_validate(training.order)
    try:
        dataset = dataset_store().path(training.dataset)
    except NotFound:
        message = "the trainer has not this dataset: it must share the folder of MARMITA_DATASETS with the service"
        messages.send(messages.ERROR, {"code": StopCode.DATASET_MISSING, "message": message})
        return 1

    def train() -> PackedModel:
        packed = learn(dataset, order, _report)
        messages.send(messages.RESULT, {"tag": packed.tag})  # before the run is logged to MLflow, which may take long
        return packed

    try:
        train_and_record(order.name, train, run)
    except CannotLearnError as error:
        messages.send(messages.ERROR, _describe(error))
        return 1
    return 0


def _report(progress: Progress) -> None:
    messages.send(messages.PROGRESS, asdict(progress))


def _describe(error: CannotLearnError) -> dict[str, object]:
    place = {"column": error.column, "row": error.row, "value": error.value}
    return {"code": error.code, "message": error.message, **place}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
