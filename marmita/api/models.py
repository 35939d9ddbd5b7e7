"""`GET /models` and `GET /models/{name}`: the served models."""

from http import HTTPStatus
from typing import Any

from pydantic import Field

from marmita.api.operations import NAME_PARAMETER, Api, Operation, OperationHandler
from marmita.contract.answers import Answer
from marmita.contract.replies import Call
from marmita.registry.card import Card, Headline
from marmita.registry.packed_model import PackedModel


class ServedModel(Answer):
    """A served model in short."""

    name: str
    tag: str
    about: str
    headline: Headline


class ServedModels(Answer):
    """All served models."""

    models: list[ServedModel]


class ServedModelInFull(ServedModel):
    """A served model with its card and its contract."""

    card: Card
    contract: dict[str, Any] = Field(description="Features (names, order, units, ranges) that it was trained with")


def operations(api: Api) -> list[Operation]:
    async def list_all(_: Call) -> Answer:
        return ServedModels(models=[_in_short(api.find(name).packed) for name in api.names()])

    def show(name: str) -> OperationHandler:
        async def one(_: Call) -> Answer:
            packed = api.find(name).packed
            return ServedModelInFull(**dict(_in_short(packed)), card=packed.card, contract=packed.contract)

        return one

    return [
        Operation(
            method="GET",
            path="/models",
            name="list_models",
            tag="models",
            about="All served models",
            answer=ServedModels,
            handlers={"/models": list_all},
        ),
        Operation(
            method="GET",
            path="/models/{name}",
            name="show_model",
            tag="models",
            about="One model with its card and its contract",
            answer=ServedModelInFull,
            handlers={f"/models/{name}": show(name) for name in api.models},
            handler_of=show,
            parameters=[NAME_PARAMETER],
            errors={HTTPStatus.NOT_FOUND: "No such model is served."},
        ),
    ]


def _in_short(packed: PackedModel) -> ServedModel:
    card = packed.card
    return ServedModel(name=packed.name, tag=packed.tag, about=card.about, headline=card.headline)
