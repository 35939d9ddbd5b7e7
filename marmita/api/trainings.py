"""`/trainings`: models trained from a CSV. The trainings wait in a queue, which trainers take them from."""

import csv
import re
import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import PurePath
from typing import Any, Literal

from bentoml.exceptions import BentoMLException
from pydantic import Field, TypeAdapter, ValidationError, create_model
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from marmita.api.operations import ID_PARAMETER, INVALID, UNAVAILABLE, Api, Operation, OperationHandler
from marmita.contract.answers import Answer
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.forms import read_form
from marmita.contract.replies import Call, Form, FormFile, Reply
from marmita.contract.tables import NAME
from marmita.contract.training_order import TrainingOrder
from marmita.records.database.database import Database
from marmita.records.database.tables import Training
from marmita.records.operations import trainings
from marmita.records.operations.trainings import EndedError, QueueFullError
from marmita.registry.card import Card
from marmita.registry.datasets import IncomingDataset
from marmita.settings import settings

FILE = "file"
MAX_LISTED = 50
NO_TRAINER = "no trainer is running: start one with `marmita trainer`"
NOT_FOUND = {HTTPStatus.NOT_FOUND: "There is no such training."}
FULL = {
    HTTPStatus.TOO_MANY_REQUESTS: "Too many trainings are waiting.",
    HTTPStatus.INSUFFICIENT_STORAGE: "There is no space left for uploaded files.",
}
_JSON_FIELDS = ("params", "kinds")
_MAX_NAME = 63
_PLANNED = 0.8
"""The share of the time limit that a training may plan with. The rest is for what it can't plan, such as its start."""

_Names = TypeAdapter(list[str])


class TrainingProgress(Answer):
    """How far a training is."""

    step: str
    done: float = Field(description="The share that is done, from 0 to 1")
    seconds_left: float | None = Field(default=None, description="An estimate; null if there is none yet")


class TrainingError(Answer):
    """Why a training failed, and where in the dataset the cause is, if it is there."""

    code: str
    message: str
    column: str | None = None
    row: int | None = Field(default=None, description="The line of the file, of which the header is the first")
    value: str | None = None


class TrainingInShort(Answer):
    """A training."""

    id: str
    name: str = Field(description="The name of the model")
    file: str = Field(description="The name of the file")
    target: str = Field(description="The column to predict")
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    at: datetime = Field(description="When it was ordered")
    started_at: datetime | None
    ended_at: datetime | None
    attempts: int = Field(description="How often a trainer took it: again if the trainer died")
    cancelling: bool = Field(description="Whether it was cancelled; a running one is stopped within seconds")
    progress: TrainingProgress | None
    tag: str | None = Field(description="The new version, when it is done")
    error: TrainingError | None


class TrainingInFull(TrainingInShort):
    """A training with its order and its result."""

    order: dict[str, Any]
    card: Card | None = Field(description="The scores of the new version, and whether it passed the gate")
    trainers: int = Field(description="The number of trainers that are running")
    note: str | None = Field(description="Why nothing happens, if nothing does")


class Trainings(Answer):
    """The newest trainings."""

    trainings: list[TrainingInShort] = Field(description="The newest first")
    trainers: int = Field(description="The number of trainers that are running")


def _form() -> Any:
    """Return the fields of the form, which are those of the order, as texts, and the file."""
    known = {name: field.description for name, field in TrainingOrder.model_fields.items()}
    fields: dict[str, Any] = {
        FILE: (str, Field(description="The dataset: a CSV with a header", json_schema_extra={"format": "binary"})),
        "target": (str, Field(description=known["target"])),
        "name": (str, Field(default="", description=f"{known['name']}. Default: the file's name")),
        "drop": (str, Field(default="", description=f"{known['drop']}. A JSON list, or separated by commas")),
    }
    fields |= {name: (dict[str, Any], Field(default={}, description=f"{known[name]}. JSON")) for name in _JSON_FIELDS}
    for name, field in TrainingOrder.model_fields.items():
        fields.setdefault(name, (field.annotation, field))
    about = "A dataset, and what to learn from it. Empty fields count as not sent."
    return create_model("TrainingForm", __module__=__name__, __doc__=about, **fields)


TrainingForm = _form()


def operations(api: Api) -> list[Operation]:
    async def receive(call: Call, blocks: AsyncIterator[bytes]) -> Form:
        return await read_dataset(api, call, blocks, FILE)

    async def begin(call: Call) -> Reply:
        assert call.form is not None
        file = dataset_of(call.form, FILE)
        training = await enqueue(api, read_order(call.form.texts, file.name), file)
        return accepted(await run_in_threadpool(_in_full, api, training))

    async def list_newest(_: Call) -> Answer:
        return await run_in_threadpool(_newest, api.database())

    def show(id: str) -> OperationHandler:
        async def one(_: Call) -> Answer:
            return await run_in_threadpool(show_training, api, id)

        return one

    def cancel(id: str) -> OperationHandler:
        async def one(_: Call) -> Answer:
            return await run_in_threadpool(_cancel, api, id)

        return one

    return [
        Operation(
            method="POST",
            path="/trainings",
            name="begin_training",
            tag="trainings",
            about="Train a model from a CSV",
            form=TrainingForm,
            receive=receive,
            answer=TrainingInFull,
            status=HTTPStatus.ACCEPTED,
            handlers={"/trainings": begin},
            errors=INVALID | FULL | UNAVAILABLE | {HTTPStatus.CONFLICT: "A model with code has this name."},
            keys=api.keys,
        ),
        Operation(
            method="GET",
            path="/trainings",
            name="list_trainings",
            tag="trainings",
            about=f"The newest {MAX_LISTED} trainings",
            answer=Trainings,
            handlers={"/trainings": list_newest},
            errors=UNAVAILABLE,
        ),
        Operation(
            method="GET",
            path="/trainings/{id}",
            name="show_training",
            tag="trainings",
            about="One training with its progress, and its result or error",
            answer=TrainingInFull,
            handlers={},
            handler_of=show,
            parameters=[ID_PARAMETER],
            errors=NOT_FOUND | UNAVAILABLE,
        ),
        Operation(
            method="DELETE",
            path="/trainings/{id}",
            name="cancel_training",
            tag="trainings",
            about="Cancel a training, and stop it if it is running",
            answer=TrainingInFull,
            handlers={},
            handler_of=cancel,
            parameters=[ID_PARAMETER],
            errors=NOT_FOUND | UNAVAILABLE | {HTTPStatus.CONFLICT: "The training has ended."},
            keys=api.keys,
        ),
    ]


async def read_dataset(api: Api, call: Call, blocks: AsyncIterator[bytes], field: str) -> Form:
    """Read a form whose field has the dataset."""
    return await read_form(call.headers[b"content-type"], blocks, {field: api.datasets().receive})


def dataset_of(form: Form, field: str) -> FormFile:
    """Return the dataset of a form. Raise an error if it is missing, or if another field is a file."""
    for name in form.files.keys() - {field}:
        raise invalid(name, "must be a text, not a file")
    if field not in form.files:
        raise invalid(field, "must be sent as a file" if field in form.texts else "Field required")
    return form.files[field]


def read_order(texts: Mapping[str, str], file: str) -> TrainingOrder:
    """Read an order from the texts of a form."""
    given: dict[str, Any] = {"name": name_of(file), **texts}
    for name in given.keys() & _JSON_FIELDS:
        given[name] = json_of(name, texts[name])
    if "drop" in texts:
        given["drop"] = names_of("drop", texts["drop"])
    return new_order(given)


def new_order(given: Mapping[str, Any]) -> TrainingOrder:
    """Return a valid order that takes no longer than trainings may."""
    longest = _PLANNED * settings().training_timeout.total_seconds()
    usual = min(longest, TrainingOrder.model_fields["seconds"].default)
    order = TrainingOrder.model_validate({"seconds": usual, **given})
    if order.seconds > longest:
        raise invalid("seconds", f"must not be more than {longest:g}: trainings are stopped soon after that")
    return order


def json_of(field: str, text: str) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        raise invalid(field, f"must be JSON: {error}") from None


def names_of(field: str, text: str) -> Sequence[str]:
    """Return the names in a text: a JSON list, or names separated by commas."""
    try:
        if text.lstrip().startswith("["):
            return _Names.validate_python(json_of(field, text))
        rows = csv.reader(text.splitlines(), skipinitialspace=True)
        return [name for row in rows for one in row if (name := one.strip())]
    except (ValidationError, csv.Error):
        raise invalid(field, "must be a list of names") from None


def name_of(file: str) -> str:
    """Return a valid name of a model for the name of a file."""
    plain = unicodedata.normalize("NFKD", PurePath(file).stem).encode("ascii", "ignore").decode().lower()
    name = re.sub("[^a-z0-9]+", "_", plain).strip("_") or "model"
    return (name if re.match(NAME, name) else f"model_{name}")[:_MAX_NAME]


async def enqueue(api: Api, order: TrainingOrder, file: FormFile) -> Training:
    """Keep the dataset, and add the training to the queue."""
    if order.name in api.models:
        raise RequestError(ErrorCode.NAME_TAKEN, f"there is a model {order.name} with code: choose another name")
    assert isinstance(file.sink, IncomingDataset)
    return await run_in_threadpool(_enqueue, api, order, file.sink, file.name)


def accepted(training: TrainingInFull) -> Reply:
    """Return the answer to an order, which says where to look for the result."""
    location = f"/trainings/{training.id}".encode()
    return Reply(HTTPStatus.ACCEPTED, training.model_dump_json().encode(), headers=((b"location", location),))


def invalid(field: str, error: str) -> RequestError:
    detail: list[Mapping[str, Any]] = [{"loc": [field], "msg": error, "type": "form_field"}]
    return RequestError(ErrorCode.INVALID_REQUEST, f"{field}: {error}", detail)


def find(database: Database, id: str) -> Training:
    """Return a training. Raise an error if there is none with this id."""
    return _found(trainings.get(database, id), id)


def card_of(api: Api, tag: str | None) -> Card | None:
    """Return the card of a version, unless it is not in the store of this service, or not any more."""
    try:
        return api.tables.get(tag).card if tag else None
    except BentoMLException:
        return None


def _enqueue(api: Api, order: TrainingOrder, dataset: IncomingDataset, file: str) -> Training:
    stored = dataset.keep()
    try:
        most = settings().training_queue
        return trainings.add(api.database(), order.name, order.model_dump(mode="json"), stored, file, most)
    except QueueFullError as error:
        raise RequestError(ErrorCode.QUEUE_FULL, f"{error}: try again later") from None


def _newest(database: Database) -> Trainings:
    found = [TrainingInShort(**_in_short(one)) for one in trainings.latest(database, MAX_LISTED)]
    return Trainings(trainings=found, trainers=trainings.count_trainers(database))


def show_training(api: Api, id: str) -> TrainingInFull:
    return _in_full(api, find(api.database(), id))


def _cancel(api: Api, id: str) -> TrainingInFull:
    try:
        return _in_full(api, _found(trainings.cancel(api.database(), id), id))
    except EndedError as error:
        raise RequestError(ErrorCode.TRAINING_ENDED, str(error)) from None


def _found(training: Training | None, id: str) -> Training:
    if training is None:
        raise RequestError(ErrorCode.TRAINING_NOT_FOUND, f"there is no training {id}")
    return training


def _in_short(training: Training) -> dict[str, Any]:
    shown = {name: getattr(training, name) for name in TrainingInShort.model_fields if name != "target"}
    return shown | {"target": training.order["target"]}


def _in_full(api: Api, training: Training) -> TrainingInFull:
    trainers = trainings.count_trainers(api.database())
    return TrainingInFull(
        **_in_short(training),
        order=training.order,
        card=card_of(api, training.tag),
        trainers=trainers,
        note=NO_TRAINER if training.state == trainings.QUEUED and not trainers else None,
    )
