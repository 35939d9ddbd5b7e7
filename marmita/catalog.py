"""`GET /models` and `GET /models/{name}`: what is served."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from marmita.card import Card, Headline
from marmita.contract import Answer
from marmita.store import Packed


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


def catalog(models: Sequence[Packed]) -> list[Route]:
    """The routes that show these models."""
    in_full = {model.name: _in_full(model) for model in models}
    listed = ServedModels(models=[ServedModel.model_validate(m.model_dump()) for m in in_full.values()])
    return [_show("/models", listed), *(_show(f"/models/{name}", model) for name, model in in_full.items())]


def _in_full(model: Packed) -> ServedModelInFull:
    card = model.card
    return ServedModelInFull(
        name=model.name,
        tag=model.tag,
        about=card.about,
        headline=card.headline,
        card=card,
        contract=model.contract,
    )


def _show(path: str, answer: Answer) -> Route:
    body = answer.model_dump_json()

    async def show(_: Request) -> Response:
        return Response(body, media_type="application/json")

    return Route(path, show)
