"""`GET /quality/{name}`: a model's scores on labelled rows, and the drift of its inputs and predictions."""

import asyncio
import math
import time
from contextvars import Context
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus

from pydantic import Field
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from marmita.api.operations import (
    INVALID,
    NAME_PARAMETER,
    Api,
    Operation,
    OperationHandler,
    query,
    query_parameter,
)
from marmita.contract.answers import Answer
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call, Reply
from marmita.runtime.slot import ServedVersion
from marmita.settings import duration, settings

CACHE_S = 5.0
"""How long a measurement is cached. The route needs no key, so it bounds what callers can make a worker do."""
MAX_RUNNING = 1
"""The number of concurrent measurements. They compete with requests for the processor and the database."""
MAX_PENDING = 16
"""The number of measurements that run or wait. Requests over the limit get 503 immediately."""

BUSY = {HTTPStatus.SERVICE_UNAVAILABLE: "The database is unavailable, or too many measurements are in progress."}

MeasurementKey = tuple[str, timedelta]
"""A model's tag and a window of time."""


class ModelScore(Answer):
    """One score of a model."""

    score: str = Field(description="accuracy, precision, recall, mae, mse, mae_percent or coverage")
    part: str = Field(description="A class, a day of the path, or `all`")
    value: float | None = Field(description="Null if it can't be computed")


class FeatureDrift(Answer):
    """The drift of one feature, or of one kind of prediction, since training."""

    kind: str = Field(description="input or prediction")
    feature: str
    rows: int = Field(description="Effective number of independent rows")
    psi: float | None = Field(description="Population stability index")
    expected_psi: float | None = Field(description="Population stability index expected by chance")
    statistic: float | None = Field(description="The largest difference between the shares of rows below a decile")
    p: float | None = Field(description="Probability of a difference at least this large by chance")
    alarm: bool


class ModelQuality(Answer):
    """The quality of a model over a window of time. Figures that can't be computed are null."""

    model: str
    version: str
    at: datetime
    window_s: float
    requests: int
    rows: int = Field(description="Predicted rows that are stored from this window")
    looked_at: int = Field(description="The newest of these rows, from which the figures are computed")
    damaged: int = Field(description="Rows among those that could not be read")
    labelled: int = Field(description="Labelled rows, from which the scores are computed")
    scores: list[ModelScore]
    confusion: list[list[int]] | None = Field(description="Labelled rows by true class (line) and predicted class")
    error_ratio: float | None = Field(description="The live error as a multiple of the held-out error")
    inference_mean_s: float | None = Field(description="Seconds that a request waited for the model")
    inference_p95_s: float | None
    drift: list[FeatureDrift]
    alarms: list[str] = Field(description="The features and predictions that have drifted")
    notes: list[str] = Field(description="Why figures are missing or limited")


def operations(api: Api) -> list[Operation]:
    measurements = Measurements(api)
    window = query_parameter(
        "window", "How far back to look, in seconds, minutes, hours or days", "24h", required=False
    )
    return [
        Operation(
            method="GET",
            path="/quality/{name}",
            name="show_quality",
            tag="records",
            about="A model's live scores and the drift of its inputs",
            answer=ModelQuality,
            handlers={f"/quality/{name}": measurements.of(name) for name in api.models},
            handler_of=measurements.of,
            parameters=[NAME_PARAMETER, window],
            errors=INVALID | BUSY | {HTTPStatus.NOT_FOUND: "No such model is served."},
        )
    ]


class Measurements:
    """The quality measurements of all models, with a cache of `CACHE_S` seconds.

    A measurement continues when its caller disconnects, as its thread can't be stopped. So the number of measurements
    is bounded, and callers that ask for the same one share it.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._running = asyncio.Semaphore(MAX_RUNNING)
        self._pending: dict[MeasurementKey, asyncio.Task[bytes]] = {}
        self._cache: dict[MeasurementKey, tuple[float, bytes]] = {}

    def of(self, name: str) -> OperationHandler:
        async def show(call: Call) -> Reply:
            model = self._api.find(name)
            window = query(call, "window", duration, settings().quality_window)
            asked = model.packed.tag, window
            at, figures = self._cache.get(asked, (-math.inf, b""))
            if time.monotonic() - at > CACHE_S:
                figures = await asyncio.shield(self._pending.get(asked) or self._begin(asked, model))
            return Reply(HTTPStatus.OK, figures)

        return show

    def _begin(self, asked: MeasurementKey, model: ServedVersion) -> asyncio.Task[bytes]:
        if len(self._pending) >= MAX_PENDING:
            message = "too many measurements are under way: try again in a moment"
            raise RequestError(ErrorCode.MODEL_OVERLOADED, message)
        # Several requests share it, so it must not log the id of one of them.
        begun = asyncio.create_task(self._measure(asked, model), context=Context())
        self._pending[asked] = begun
        begun.add_done_callback(partial(self._finish, asked))
        return begun

    async def _measure(self, asked: MeasurementKey, model: ServedVersion) -> bytes:
        _, window = asked
        async with self._running:
            measured = await run_in_threadpool(model.measure, self._api.database(), window)
        figures = to_json(measured.as_dict())
        self._evict()
        self._cache[asked] = (time.monotonic(), figures)
        return figures

    def _finish(self, asked: MeasurementKey, begun: asyncio.Task[bytes]) -> None:
        del self._pending[asked]
        if not begun.cancelled():
            begun.exception()  # all callers may be gone, and asyncio logs exceptions that are never retrieved

    def _evict(self) -> None:
        old = [asked for asked, (at, _) in self._cache.items() if time.monotonic() - at > CACHE_S]
        for asked in old:
            del self._cache[asked]
