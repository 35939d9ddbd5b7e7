"""The routes to what the house remembers, in the OpenAPI document."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from marmita.api.record_contract import (
    Labels,
    LabelsAdded,
    LoadPrices,
    ModelQuality,
    PricesLoaded,
    ShepherdState,
    StoredPrices,
)
from marmita.contract.answers import Error
from marmita.contract.openapi import errors, example, json_of, reference

REQUESTS: tuple[type[BaseModel], ...] = (Labels, LoadPrices)
ANSWERS: tuple[type[BaseModel], ...] = (LabelsAdded, ModelQuality, PricesLoaded, ShepherdState, StoredPrices)

_TAG = "records"
_WRONG = {HTTPStatus.BAD_REQUEST: "Something is wrong with what was asked: it is named."}
_DOWN = {HTTPStatus.SERVICE_UNAVAILABLE: "The database can't be used now."}
_NO_KEY = {HTTPStatus.UNAUTHORIZED: "A key is needed."}
_LOOKED = _WRONG | _DOWN
_CHANGED = _WRONG | _DOWN | _NO_KEY
KEY = {"type": "http", "scheme": "bearer", "description": "One of MARMITA_API_KEYS; none is needed if there are none."}


def paths(models: Sequence[str], with_prices: bool) -> dict[str, Any]:
    """The routes for these models, and those for prices if there is a model that forecasts them."""
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": list(models)}}
    window = _asked("window", "How far back to look, in minutes, hours or days", "24h", required=False)
    found = {
        "/labels": {
            "post": _change(
                "add_labels",
                "Tell what turned out to be true",
                Labels,
                LabelsAdded,
                {HTTPStatus.NOT_FOUND: "No prediction is kept under any of the ids."},
            )
        },
        "/quality/{name}": {
            "get": _look("show_quality", "How good a model was, and whether its inputs have drifted", ModelQuality)
            | {"parameters": [name, window]}
        },
        "/shepherd": {
            "get": _look("show_shepherd", "Which models were retrained, or not, and why", ShepherdState)
            | {"parameters": [_which(models), _limit()]}
        },
    }
    if not with_prices:
        return found
    days = [_asked("start", "The first day", "2013-01-02"), _asked("end", "The last day", "2013-02-01")]
    return found | {
        "/prices/load": {
            "post": _change(
                "load_prices",
                "Fetch prices from Yahoo Finance, those that are missing",
                LoadPrices,
                PricesLoaded,
                {HTTPStatus.BAD_GATEWAY: "Yahoo Finance gave nothing that can be trusted: what is kept is as it was."},
            )
        },
        "/prices": {
            "get": _look("show_prices", "The prices that are kept", StoredPrices, {HTTPStatus.NOT_FOUND: "None are."})
            | {"parameters": [_asked("ticker", "The stock", "MSFT"), *days]}
        },
    }


def _which(models: Sequence[str]) -> dict[str, Any]:
    asked = _asked("model", "Only decisions about this model", models[0], required=False)
    return asked | {"schema": asked["schema"] | {"enum": list(models)}}


def _limit() -> dict[str, Any]:
    asked = _asked("limit", "So many decisions, the newest", "20", required=False)
    return asked | {"schema": {"type": "integer", "minimum": 1, "maximum": 100, "examples": [20]}}


def _asked(name: str, about: str, example: str, required: bool = True) -> dict[str, Any]:
    schema = {"type": "string", "examples": [example]}
    return {"name": name, "in": "query", "required": required, "description": about, "schema": schema}


def _look(
    operation: str, about: str, answer: type[BaseModel], refusals: dict[HTTPStatus, str] | None = None
) -> dict[str, Any]:
    return _operation(operation, about, answer, _LOOKED | (refusals or {}))


def _change(
    operation: str, about: str, request: type[BaseModel], answer: type[BaseModel], refusals: dict[HTTPStatus, str]
) -> dict[str, Any]:
    content = {"schema": reference(request), "example": example(request)}
    return _operation(operation, about, answer, _CHANGED | refusals) | {
        "requestBody": {"required": True, "content": {"application/json": content}},
        "security": [{}, {"key": []}],
    }


def _operation(operation: str, about: str, answer: type[BaseModel], refusals: dict[HTTPStatus, str]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "tags": [_TAG],
        "summary": about,
        "responses": {
            "200": json_of(about, reference(answer)),
            **errors(refusals, Error.__name__),
        },
    }
