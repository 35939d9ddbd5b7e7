"""`GET /models` and `GET /models/{name}`: what is served."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from marmita.contract.answers import Answer
from marmita.registry.card import Card, Headline
from marmita.registry.packed_model import PackedModel
from marmita.runtime.slot import ModelSlot


class ServedModel(Answer):
    """A model that is served, in a line."""

    name: str
    tag: str
    about: str
    headline: Headline


class ServedModels(Answer):
    """All models that are served."""

    models: list[ServedModel]


class ServedModelInFull(ServedModel):
    """All that is known about a model that is served."""

    card: Card
    contract: dict[str, Any] = Field(description="Features (names, order, units, ranges) that it was trained with")


def catalog(models: Sequence[ModelSlot]) -> list[Route]:
    """The routes that show these models, as they are served now."""

    def in_short() -> Answer:
        return ServedModels(models=[_in_short(model.packed) for model in models])

    return [
        _show("/models", in_short),
        *(_show(f"/models/{one.packed.name}", partial(_in_full, one)) for one in models),
    ]


def _in_short(packed: PackedModel) -> ServedModel:
    card = packed.card
    return ServedModel(name=packed.name, tag=packed.tag, about=card.about, headline=card.headline)


def _in_full(model: ModelSlot) -> Answer:
    packed = model.packed
    return ServedModelInFull(**dict(_in_short(packed)), card=packed.card, contract=packed.contract)


def _show(path: str, answer: Callable[[], Answer]) -> Route:
    async def show(_: Request) -> Response:
        return Response(answer().model_dump_json(), media_type="application/json")

    return Route(path, show)
