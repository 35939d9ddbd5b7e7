"""The routes to what the house remembers: labels and prices come in, quality and prices are looked at."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from marmita.api.auth import ApiKeys
from marmita.api.record_contract import Labels, LabelsAdded, LoadPrices, PriceOfDay, PricesLoaded, StoredPrices
from marmita.contract.errors import RequestError
from marmita.contract.schema import Answer
from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.predictions import labels
from marmita.records.predictions.recorder import FLUSH_S
from marmita.records.prices import loading, prices
from marmita.records.prices.ticker import ticker_of
from marmita.runtime.slot import ModelSlot
from marmita.settings import settings, span

T = TypeVar("T")

FRESH_S = 5.0
"""Figures are not measured again before: whoever asks for them needs no key."""
_YOUNG_NS = 5_000_000_000

log = logging.getLogger("bentoml.marmita")


class RecordRoutes:
    """The routes for these models, over one database."""

    def __init__(
        self, models: Sequence[ModelSlot], database: Callable[[], Database], keys: ApiKeys, with_prices: bool
    ) -> None:
        self._models = {model.packed.name: model for model in models}
        self._database = database
        self._keys = keys
        self._with_prices = with_prices
        self._one_at_a_time = asyncio.Lock()
        self._looked_at: dict[tuple[str, timedelta], tuple[float, bytes]] = {}

    def routes(self) -> list[Route]:
        routes = [Route("/labels", self._add_labels, methods=["POST"])]
        routes += [Route(f"/quality/{name}", self._quality(model)) for name, model in self._models.items()]
        if self._with_prices:
            routes += [Route("/prices/load", self._load, methods=["POST"]), Route("/prices", self._prices)]
        return routes

    async def _add_labels(self, request: Request) -> Response:
        self._keys.check(request)
        asked = Labels.model_validate_json(await request.body())
        added = await run_in_threadpool(self._label, [(one.id, one.truth) for one in asked.labels])
        if len(added.unknown) == len(asked.labels):
            raise RequestError(HTTPStatus.NOT_FOUND, f"no prediction is kept under {added.unknown[0]}")
        return answer(LabelsAdded(stored=added.stored, unchanged=added.unchanged, unknown=added.unknown))

    def _label(self, given: list[tuple[str, Any]]) -> labels.LabelCounts:
        evaluators = {name: model.evaluator for name, model in self._models.items()}
        with self._database().reading() as session:
            unknown = labels.unknown(session, [id for id, _ in given])
        if any(map(_is_young, unknown)):  # it may wait in a process that has not written it yet
            time.sleep(FLUSH_S * 1.5)
        try:
            with self._database().writing() as session:
                return labels.add(session, evaluators, given)
        except labels.WrongLabelError as wrong:
            raise RequestError(HTTPStatus.BAD_REQUEST, str(wrong)) from None

    def _quality(self, model: ModelSlot) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            window = query(request, "window", span, settings().quality_window)
            async with self._one_at_a_time:
                at, measured = self._looked_at.get((model.packed.tag, window), (-math.inf, b""))
                if time.monotonic() - at > FRESH_S:
                    figures = await run_in_threadpool(model.measure, self._database(), window)
                    measured = to_json(figures.as_dict())
                    self._forget_old()
                    self._looked_at[model.packed.tag, window] = (time.monotonic(), measured)
            return Response(measured, media_type="application/json")

        return show

    def _forget_old(self) -> None:
        old = [asked for asked, (at, _) in self._looked_at.items() if time.monotonic() - at > FRESH_S]
        for asked in old:
            del self._looked_at[asked]

    async def _load(self, request: Request) -> Response:
        self._keys.check(request)
        asked = LoadPrices.model_validate_json(await request.body())
        try:
            loaded = await run_in_threadpool(loading.load, self._database(), asked.ticker, asked.start, asked.end)
        except ValueError as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, str(error)) from None
        except prices.PricesError as error:
            raise RequestError(HTTPStatus.BAD_GATEWAY, str(error)) from None
        return answer(
            PricesLoaded(ticker=asked.ticker, fetched=loaded.fetched, days=loaded.days, labelled=loaded.labelled)
        )

    async def _prices(self, request: Request) -> Response:
        ticker = query(request, "ticker", ticker_of)
        first, last = query(request, "start", _day), query(request, "end", _day)
        if first > last:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"start, {first}, must not be after end, {last}")
        found = await run_in_threadpool(self._stored, ticker, first, last)
        if not found:
            raise RequestError(
                HTTPStatus.NOT_FOUND,
                f"no prices of {ticker} are kept from {first} to {last}: POST /prices/load fetches them",
            )
        days = [PriceOfDay.model_validate(bar._asdict()) for bar in found]
        return answer(StoredPrices(ticker=ticker, prices=days))

    def _stored(self, ticker: str, first: date, last: date) -> list[prices.Bar]:
        with self._database().reading() as session:
            return prices.stored(session, ticker, first, last)


def query(request: Request, name: str, read: Callable[[str], T], default: T | None = None) -> T:
    text = request.query_params.get(name)
    if text is None:
        if default is not None:
            return default
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name} is missing: ?{name}=")
    try:
        return read(text)
    except ValueError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name}: {error}") from None


def _is_young(id: str) -> bool:
    """Whether an id was made just now: it begins with the time."""
    try:
        return abs(time.time_ns() - int(id[:16], 16)) < _YOUNG_NS
    except ValueError:
        return False


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day, such as 2013-02-01") from None


def answer(answer: Answer) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = {"www-authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    return Response(to_json({"error": error.error}), error.status, headers, "application/json")


async def _wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    detail = error.errors(include_url=False, include_context=False, include_input=False)
    return Response(to_json({"detail": detail}), HTTPStatus.BAD_REQUEST, media_type="application/json")


async def _down(_: Request, error: Exception) -> Response:
    log.warning("the database can't be used: %s", error)
    said = "the database can't be used now: try again in a moment"
    return Response(to_json({"error": said}), HTTPStatus.SERVICE_UNAVAILABLE, media_type="application/json")


HANDLERS = {RequestError: _refused, ValidationError: _wrong, DatabaseDownError: _down}
"""What becomes of the errors that these routes raise."""
