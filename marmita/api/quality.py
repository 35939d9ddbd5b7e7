"""`GET /quality/{name}`: how good a model was, and how far its inputs have drifted."""

import asyncio
import math
import time
from contextvars import Context
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus

from bentoml.exceptions import ServiceUnavailable
from pydantic import Field
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from marmita.api.operations import (
    INVALID,
    OperationHandler,
    Api,
    Operation,
    name_parameter,
    query,
    query_parameter,
)
from marmita.contract.answers import Answer
from marmita.contract.replies import Call, Reply
from marmita.runtime.slot import ModelSlot
from marmita.settings import duration, settings

FRESH_S = 5.0
"""Figures are not measured again before: whoever asks for them needs no key."""
MAX_RUNNING = 1
"""How many models are measured at a time: what they take of the processor and the database, requests lack."""
MAX_PENDING = 16
"""How many measurements are begun or wait for their turn. Whoever asks for one more gets 503 immediately."""

BUSY = {HTTPStatus.SERVICE_UNAVAILABLE: "The database can't be used now, or too many measurements are under way."}

MeasurementKey = tuple[str, timedelta]
"""A version and a window."""


class ModelScore(Answer):
    """One figure of how good a model was."""

    score: str = Field(description="accuracy, precision, recall, mae, mse, mae_percent or coverage")
    part: str = Field(description="A class, a day of the path, or `all`")
    value: float | None = Field(description="Null if nobody can say")


class FeatureDrift(Answer):
    """How far one feature, or one kind of prediction, is from what it was in training."""

    kind: str = Field(description="input or prediction")
    feature: str
    rows: int = Field(description="Rows that tell something that the others don't")
    psi: float | None = Field(description="Population stability index")
    expected_psi: float | None = Field(description="What chance alone would give")
    statistic: float | None = Field(description="The largest difference between the shares of rows below a decile")
    p: float | None = Field(description="How likely so large a difference is by chance")
    alarm: bool


class ModelQuality(Answer):
    """How good a model was over a window of time. What nobody can say is null."""

    model: str
    version: str
    at: datetime
    window_s: float
    requests: int
    rows: int = Field(description="Predicted rows that are kept from this time")
    looked_at: int = Field(description="How many of them, the newest, the figures are about")
    damaged: int = Field(description="How many of those could not be read")
    labelled: int = Field(description="How many rows the scores are about")
    scores: list[ModelScore]
    confusion: list[list[int]] | None = Field(description="Labelled rows by true class (line) and predicted class")
    error_ratio: float | None = Field(description="The error as a multiple of the one on held-out rows")
    inference_mean_s: float | None = Field(description="Seconds that a request waited for the model")
    inference_p95_s: float | None
    drift: list[FeatureDrift]
    alarms: list[str] = Field(description="What has drifted")
    notes: list[str] = Field(description="What the figures can't say, and why")


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
            about="How good a model was, and whether its inputs have drifted",
            answer=ModelQuality,
            handlers={f"/quality/{name}": measurements.of(name) for name in api.models},
            parameters=[name_parameter(api.models), window],
            errors=INVALID | BUSY,
        )
    ]


class Measurements:
    """Measures models, and keeps the figures for as long as they are fresh.

    A measurement goes on when whoever asked for it is gone: its thread could not be ended. So there is a bound on how
    many there are, and all who ask the same wait for the same one.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._at_work = asyncio.Semaphore(MAX_RUNNING)
        self._begun: dict[MeasurementKey, asyncio.Task[bytes]] = {}
        self._kept: dict[MeasurementKey, tuple[float, bytes]] = {}

    def of(self, name: str) -> OperationHandler:
        async def show(call: Call) -> Reply:
            model = self._api.slot(name)
            window = query(call, "window", duration, settings().quality_window)
            asked = model.packed.tag, window
            at, figures = self._kept.get(asked, (-math.inf, b""))
            if time.monotonic() - at > FRESH_S:
                figures = await asyncio.shield(self._begun.get(asked) or self._begin(asked, model))
            return Reply(HTTPStatus.OK, figures)

        return show

    def _begin(self, asked: MeasurementKey, model: ModelSlot) -> asyncio.Task[bytes]:
        if len(self._begun) >= MAX_PENDING:
            raise ServiceUnavailable("too many measurements are under way: try again in a moment")
        # It belongs to the request of none.
        begun = asyncio.create_task(self._measure(asked, model), context=Context())
        self._begun[asked] = begun
        begun.add_done_callback(partial(self._ended, asked))
        return begun

    async def _measure(self, asked: MeasurementKey, model: ModelSlot) -> bytes:
        _, window = asked
        async with self._at_work:
            measured = await run_in_threadpool(model.measure, self._api.database(), window)
        figures = to_json(measured.as_dict())
        self._forget_old()
        self._kept[asked] = (time.monotonic(), figures)
        return figures

    def _ended(self, asked: MeasurementKey, begun: asyncio.Task[bytes]) -> None:
        del self._begun[asked]
        if not begun.cancelled():
            begun.exception()  # those who asked may be gone: then nobody else takes it, and asyncio would complain

    def _forget_old(self) -> None:
        old = [asked for asked, (at, _) in self._kept.items() if time.monotonic() - at > FRESH_S]
        for asked in old:
            del self._kept[asked]
