"""`GET /models` and `GET /models/{name}`: what is served."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
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


def catalog(models: Sequence[Packed]) -> Starlette:
    """The routes that show these models."""
    in_full = {model.name: _in_full(model) for model in models}
    listed = ServedModels(models=[ServedModel.model_validate(m.model_dump()) for m in in_full.values()])

    async def show_all(_: Request) -> Response:
        return _json(listed)

    async def show_one(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in in_full:
            raise HTTPException(404, f"no model {name!r} is served: there are {', '.join(in_full)}")
        return _json(in_full[name])

    return Starlette(routes=[Route("/models", show_all), Route("/models/{name}", show_one)])


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


def _json(answer: Answer) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
