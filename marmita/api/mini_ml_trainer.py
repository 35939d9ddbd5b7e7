"""`POST /train` and `POST /predict`: the routes of mini-ml-trainer, an earlier system, for its clients.

They have one model, which each training replaces, and answer within the request. An error has a text as its `detail`,
or a list as FastAPI has it if a field is missing.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from http import HTTPStatus
from time import monotonic
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, Field, WithJsonSchema
from starlette.concurrency import run_in_threadpool

from marmita.api import trainings as trainings_api
from marmita.api.operations import INVALID, UNAVAILABLE, Api, Operation
from marmita.api.scored_csv import CsvRows
from marmita.api.trainings import FULL, accepted, card_of, enqueue, json_of, names_of, new_order
from marmita.contract import csv_table
from marmita.contract.answers import Answer, ErrorDetail
from marmita.contract.errors import ErrorCode, RequestError, as_request_error
from marmita.contract.forms import Buffer, read_form
from marmita.contract.replies import Call, Form, FormFile, Reply
from marmita.contract.rows import Floats
from marmita.contract.training_order import TrainingErrorCode
from marmita.records.database.tables import Training
from marmita.records.operations.trainings import CANCELLED, DONE, QUEUED, RUNNING
from marmita.runtime.table_model import ClassModel, TableModel
from marmita.runtime.table_models import TableModels

MODEL = "mini_ml_trainer"
"""The name of the model that these routes train and ask."""
PATIENCE_S = 20.0
"""How long a training may take to be answered within the request."""
NOT_CSV = "Apenas arquivos CSV são suportados."
"""The `detail` that clients know."""

_POLL_S = 0.2
_MISSING = {HTTPStatus.UNPROCESSABLE_ENTITY: "A field is missing."}
_DATASET, _TARGET, _INPUT, _DROP = "dataset_file", "target_column", "input_file", "columns_to_drop"
_SCORES = {"accuracy": "accuracy", "r2": "r2_score"}
"""The names of scores on a card, and those that clients know."""

_File = Annotated[str, WithJsonSchema({"type": "string", "format": "binary"})]
_Dropped = Annotated[str, Field(description="Columns to leave out: a JSON list, or names separated by commas")]

_encode = msgspec.json.Encoder().encode


class MiniTrainingForm(BaseModel):
    """A dataset, and what to learn from it. Empty fields count as not sent."""

    dataset_file: _File
    target_column: str
    model_type: str = "RandomForestClassifier"
    model_params: dict[str, Any] = Field(default={}, description="The model's parameters, in JSON")
    columns_to_drop: _Dropped = ""


class MiniPredictionForm(BaseModel):
    """Rows to predict. Columns that the model does not need are ignored."""

    input_file: _File
    columns_to_drop: _Dropped = ""


class MiniTraining(Answer):
    """A training that is done."""

    metrics: dict[str, float] = Field(description="The accuracy of a classifier, or the r2_score of a regressor")
    model_path: str = Field(description="The tag of the new version")
    training: str = Field(description="The id of the training")


class MiniPredictions(Answer):
    """The predictions, one for each row, in the rows' order."""

    predictions: list[int | float] = Field(description="A value, or a class's number or place in the alphabet")
    labels: list[str] | None = Field(default=None, description="The classes")
    probabilities: list[dict[str, float]] | None = Field(default=None, description="How probable each class is")
    model: str = Field(description="The version that answered")


class MiniError(Answer):
    """An error."""

    error: str
    code: ErrorCode
    detail: str | list[ErrorDetail] = Field(description="The message, or a list of the fields that are missing")


def operations(api: Api, models: TableModels) -> list[Operation]:
    async def receive(call: Call, blocks: AsyncIterator[bytes]) -> Form:
        return await trainings_api.read_dataset(api, call, blocks, _DATASET)

    async def train(call: Call) -> Reply:
        deadline = monotonic() + PATIENCE_S
        assert call.form is not None
        order = new_order(_order(call.form))
        training = await enqueue(api, order, call.form.files[_DATASET])
        while training.state in (QUEUED, RUNNING) and monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
            training = await run_in_threadpool(trainings_api.find, api.database(), training.id)
        return await run_in_threadpool(_result, api, training)

    async def predict(call: Call) -> Reply:
        form = await read_form(call.headers[b"content-type"], _whole(call.body), {_INPUT: Buffer})
        file = _checked_file(form, _INPUT)
        version = api.tables.newest_version(MODEL)
        if version is None:
            raise RequestError(ErrorCode.MODEL_NOT_FOUND, "no model was trained yet: POST /train trains one")
        model = await models.get(MODEL, version)
        assert isinstance(file.sink, Buffer)
        dropped = names_of(_DROP, form.texts.get(_DROP, ""))
        rows = await run_in_threadpool(_rows, bytes(file.sink.content), model, dropped)
        return Reply(HTTPStatus.OK, _encode(_predictions(model, await model.answer(rows))))

    return [
        Operation(
            method="POST",
            path="/train",
            name="train_mini",
            tag="mini-ml-trainer",
            about="Train the model of mini-ml-trainer's clients",
            form=MiniTrainingForm,
            receive=receive,
            answer=MiniTraining,
            handlers={"/train": train},
            errors=INVALID | _MISSING | FULL | UNAVAILABLE,
            keys=api.keys,
            error=MiniError,
            translate=_with_text,
        ),
        Operation(
            method="POST",
            path="/predict",
            name="predict_mini",
            tag="mini-ml-trainer",
            about="Predict with the latest model of mini-ml-trainer's clients",
            form=MiniPredictionForm,
            answer=MiniPredictions,
            handlers={"/predict": predict},
            errors=INVALID | _MISSING | {HTTPStatus.NOT_FOUND: "No model was trained yet."},
            error=MiniError,
            translate=_with_text,
        ),
    ]


def _order(form: Form) -> Mapping[str, Any]:
    """Return the order that a form stands for."""
    _checked_file(form, _DATASET, needed=[_TARGET])
    texts = form.texts
    return {
        "name": MODEL,
        "target": texts[_TARGET],
        "model": texts.get("model_type", "RandomForestClassifier"),
        "params": json_of("model_params", texts.get("model_params", "{}")),
        "drop": names_of(_DROP, texts.get(_DROP, "")),
    }


def _checked_file(form: Form, field: str, needed: Collection[str] = ()) -> FormFile:
    """Return the file of a form. Raise an error if a field is missing, or the file is said to be no CSV."""
    missing = [name for name in needed if name not in form.texts]
    if missing or field not in form.files:
        names = [*([] if field in form.files else [field]), *missing]
        detail = [{"loc": ["body", name], "msg": "field required", "type": "value_error.missing"} for name in names]
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        raise RequestError(ErrorCode.INVALID_REQUEST, f"{names[0]}: field required", [*detail], status=status)
    file = form.files[field]
    if file.media_type.partition(";")[0].strip().lower() == "text/plain":
        raise RequestError(ErrorCode.INVALID_REQUEST, NOT_CSV)
    return file


def _result(api: Api, training: Training) -> Reply:
    if training.state in (QUEUED, RUNNING):
        return accepted(trainings_api.show_training(api, training.id))
    if training.state == CANCELLED:
        raise RequestError(ErrorCode.TRAINING_ENDED, "the training was cancelled")
    if training.state != DONE:
        raise _failure(training.error or {})
    card = card_of(api, training.tag)
    if card is None:
        raise RequestError(ErrorCode.MODEL_UNAVAILABLE, f"{training.tag} is not in the store of this service")
    metrics = {name: card.held_out[score] for score, name in _SCORES.items() if score in card.held_out}
    done = MiniTraining(metrics=metrics, model_path=str(training.tag), training=training.id)
    return Reply(HTTPStatus.OK, done.model_dump_json().encode())


def _failure(error: Mapping[str, Any]) -> RequestError:
    """Return the failure of a training: the sender's, or else the service's."""
    is_senders = error.get("code") in list(TrainingErrorCode)
    status = HTTPStatus.BAD_REQUEST if is_senders else HTTPStatus.INTERNAL_SERVER_ERROR
    return RequestError(ErrorCode.TRAINING_FAILED, str(error.get("message", "")), status=status)


def _rows(content: bytes, model: TableModel, dropped: Collection[str]) -> Floats:
    rows = CsvRows.read(csv_table.read(content), model.columns, ignore_extra=True, dropped=dropped)
    rows.check()
    return model.encode(rows.columns)


def _predictions(model: TableModel, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the predictions as one number for each row, with what else is known beside them."""
    if not isinstance(model, ClassModel):
        return {"predictions": [each["value"] for each in answers], "model": model.packed.tag}
    numbers = _numbers(model.classes)
    return {
        "predictions": [numbers[each["code"]] for each in answers],
        "labels": [each["class"] for each in answers],
        "probabilities": [each["probabilities"] for each in answers],
        "model": model.packed.tag,
    }


def _numbers(classes: Sequence[str]) -> Sequence[int]:
    """Return the number of each class: itself if all are whole numbers, or else its place in the alphabet."""
    if all(re.fullmatch(r"-?[0-9]{1,15}", name) for name in classes):
        return [int(name) for name in classes]
    alphabet = sorted(classes)
    return [alphabet.index(name) for name in classes]


def _with_text(error: Exception) -> Exception:
    """Return an error with its message as `detail`, unless a field is missing."""
    failure = as_request_error(error)
    if failure.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        failure.detail = failure.error
    return failure


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body
