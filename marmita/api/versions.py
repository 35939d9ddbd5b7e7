"""`/models/{name}/versions`, `/models/{name}/promote` and `/models/{name}/rollback`: the versions in the store."""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from threading import Thread
from typing import Any, ClassVar

from bentoml.exceptions import BentoMLException, NotFound
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from marmita.api.operations import INVALID, NAME_PARAMETER, UNAVAILABLE, Api, Operation, OperationHandler
from marmita.contract.answers import Answer
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call
from marmita.contract.requests import RequestBody
from marmita.registry import champions, packed_model, promotion, tracking
from marmita.registry.card import Headline
from marmita.registry.fitness import check_servable
from marmita.registry.packed_model import PackedModel
from marmita.registry.promotion import GateNotPassedError
from marmita.registry.startup import follows_store
from marmita.registry.tables import VERSION, is_table
from marmita.runtime.table_model import TableModel

log = logging.getLogger(__name__)

NOT_FOUND = {HTTPStatus.NOT_FOUND: "There is no such model or version in the store."}
CONFLICT = {
    HTTPStatus.CONFLICT: "The version did not pass its gate or can't be served, there is no earlier champion, or the "
    "service serves the models of its Bento and not those of a store."
}


class ModelVersion(Answer):
    """One version of a model in the store."""

    tag: str
    made: datetime
    champion: bool = Field(description="Whether it is the champion now")
    passed_gate: bool
    reason: str = Field(description="Why it passed the gate, or why not")
    headline: Headline


class ModelVersions(Answer):
    """The versions of a model in the store, newest first."""

    name: str
    versions: list[ModelVersion]


class Promotion(RequestBody):
    """A version to promote."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "xf2cl6wbqsz7aaav"}]})
    most_keys: ClassVar[int] = 10

    version: str = Field(pattern=f"^{VERSION}$")
    force: bool = Field(default=False, description="Whether to promote a version that did not pass its gate")


class Rollback(RequestBody):
    """No options."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})
    most_keys: ClassVar[int] = 10


class NewChampion(Answer):
    """The version that is the champion now. Each worker serves it within two seconds."""

    tag: str


def operations(api: Api) -> list[Operation]:
    def listing(name: str) -> OperationHandler:
        return lambda _: run_in_threadpool(_list, name)

    def promoting(name: str) -> OperationHandler:
        async def promote(call: Call) -> Answer:
            asked = Promotion.model_validate_json(call.body)
            return await _changing(partial(_promote, api, name, asked))

        return promote

    def rolling_back(name: str) -> OperationHandler:
        async def roll_back(call: Call) -> Answer:
            Rollback.model_validate_json(call.body or b"{}")
            return await _changing(partial(champions.roll_back, name, partial(_check, api)))

        return roll_back

    changes: dict[str, Any] = {
        "method": "POST",
        "answer": NewChampion,
        "errors": INVALID | UNAVAILABLE | NOT_FOUND | CONFLICT,
        "keys": api.keys,
    }
    return [
        _operation(
            api,
            "versions",
            listing,
            method="GET",
            name="list_versions",
            about="The versions of a model in the store",
            answer=ModelVersions,
            errors=NOT_FOUND,
        ),
        _operation(
            api, "promote", promoting, name="promote", about="Make a version the champion", request=Promotion, **changes
        ),
        _operation(
            api,
            "rollback",
            rolling_back,
            name="roll_back",
            about="Make the previous champion the champion again",
            request=Rollback,
            **changes,
        ),
    ]


def _operation(api: Api, what: str, handler_of: Callable[[str], OperationHandler], **options: Any) -> Operation:
    return Operation(
        path=f"/models/{{name}}/{what}",
        tag="models",
        handlers={f"/models/{name}/{what}": handler_of(name) for name in api.models},
        handler_of=handler_of,
        parameters=[NAME_PARAMETER],
        **options,
    )


async def _changing(change: Callable[[], PackedModel]) -> Answer:
    """Run a change of the store in a thread, with its errors as those of a request. Return the new champion.

    MLflow is told afterwards, as it may take longer to answer than a caller waits.
    """
    if not follows_store():
        raise RequestError(ErrorCode.CONFLICT, "this service serves the models of its Bento: it follows no store")
    try:
        packed = await run_in_threadpool(change)
    except NotFound as error:
        raise RequestError(ErrorCode.MODEL_NOT_FOUND, str(error)) from None
    except GateNotPassedError as error:
        raise RequestError(ErrorCode.CONFLICT, f"{error}; force promotes it all the same") from None
    except BentoMLException as error:
        raise RequestError(ErrorCode.CONFLICT, str(error)) from None
    log.info("%s was made the champion by a request", packed.tag)
    Thread(target=_update_mlflow, args=(packed.tag,), daemon=True).start()
    return NewChampion(tag=packed.tag)


def _update_mlflow(tag: str) -> None:
    if message := tracking.name_champion(tag):
        log.info(message)


def _list(name: str) -> Answer:
    champion = champions.champion_version(name)
    try:
        found = [_described(packed, champion) for packed in packed_model.versions(name)]
    except NotFound:
        raise RequestError(ErrorCode.MODEL_NOT_FOUND, f"the store has no version of {name}") from None
    return ModelVersions(name=name, versions=[version for version in found if version])


def _described(packed: PackedModel, champion: str | None) -> ModelVersion | None:
    """Describe a version, or return None for one whose card can't be read."""
    try:
        card = packed.card
    except BentoMLException:
        return None
    return ModelVersion(
        tag=packed.tag,
        made=card.made,
        champion=packed.version == champion,
        passed_gate=card.verdict.promoted,
        reason=card.verdict.reason,
        headline=card.headline,
    )


def _promote(api: Api, name: str, asked: Promotion) -> PackedModel:
    packed = packed_model.get(f"{name}:{asked.version}")
    promotion.promote(packed, partial(_check, api), api.database, force=asked.force)
    return packed


def _check(api: Api, packed: PackedModel) -> None:
    """Raise unless this service can serve a version."""
    if packed.name in api.models:
        check_servable(packed, api.contracts[packed.name])
    elif is_table(packed):
        TableModel.load(packed)
    else:
        raise NotFound(f"{packed.name} is neither a table model nor a model of this service")
