"""`POST /labels`: labels, the true values of predicted rows."""

import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from marmita.api.operations import INVALID, UNAVAILABLE, Api, Operation
from marmita.contract.answers import Answer
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call
from marmita.contract.requests import MAX_ROWS, RequestBody, Strict
from marmita.records.database.database import Database
from marmita.records.predictions import labels
from marmita.records.predictions.recorder import FLUSH_S
from marmita.records.quality.evaluators import Evaluator

_YOUNG_NS = 5_000_000_000
_EXAMPLE: dict[str, Any] = {"labels": [{"id": "0192f3c41d8a5b7e0c4d9a61e83b2f70-0", "truth": 6}]}


class TruthOf(Strict):
    """The true value of one predicted row."""

    id: str = Field(description="The prediction's `id` from the answer", max_length=64)
    truth: Any = Field(
        description="A class, a number, or the closes that followed",
        json_schema_extra={
            "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "array", "items": {"type": "number"}}]
        },
    )


class Labels(RequestBody):
    """Labels of predicted rows."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})
    most_keys: ClassVar[int] = 4 * MAX_ROWS

    labels: list[TruthOf] = Field(min_length=1, max_length=MAX_ROWS)


class LabelsAdded(Answer):
    """How many labels were stored."""

    stored: int = Field(description="Labels that are new or replaced another one")
    unchanged: int = Field(description="Labels that were stored already")
    unknown: list[str] = Field(description="Ids without a stored prediction: their labels were dropped")


class _Evaluators(Mapping[str, Evaluator]):
    """The evaluators of all models by name, each read when it is needed."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def __getitem__(self, name: str) -> Evaluator:
        try:
            return self._api.find(name).evaluator
        except RequestError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._api.names())

    def __len__(self) -> int:
        return len(self._api.names())


def operations(api: Api) -> list[Operation]:
    async def add(call: Call) -> Answer:
        asked = Labels.model_validate_json(call.body)
        added = await run_in_threadpool(
            _label, api.database, _Evaluators(api), [(one.id, one.truth) for one in asked.labels]
        )
        if len(added.unknown) == len(asked.labels):
            raise RequestError(ErrorCode.PREDICTION_NOT_FOUND, f"no prediction is kept under {added.unknown[0]}")
        return LabelsAdded(stored=added.stored, unchanged=added.unchanged, unknown=added.unknown)

    return [
        Operation(
            method="POST",
            path="/labels",
            name="add_labels",
            tag="records",
            about="Add labels, the true values of predicted rows",
            request=Labels,
            answer=LabelsAdded,
            handlers={"/labels": add},
            errors=INVALID | UNAVAILABLE | {HTTPStatus.NOT_FOUND: "None of the ids has a stored prediction."},
            keys=api.keys,
        )
    ]


def _label(
    database: Callable[[], Database], evaluators: Mapping[str, Evaluator], given: list[tuple[str, Any]]
) -> labels.LabelCounts:
    with database().reading() as session:
        unknown = labels.unknown(session, [id for id, _ in given])
    if any(map(_is_young, unknown)):  # a recorder may not have flushed it yet
        time.sleep(FLUSH_S * 1.5)
    try:
        with database().writing() as session:
            return labels.add(session, evaluators, given)
    except labels.WrongLabelError as wrong:
        raise RequestError(ErrorCode.INVALID_REQUEST, str(wrong)) from None


def _is_young(id: str) -> bool:
    """Tell whether an id is a few seconds old. Ids begin with their time of creation."""
    try:
        return abs(time.time_ns() - int(id[:16], 16)) < _YOUNG_NS
    except ValueError:
        return False
