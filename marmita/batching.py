"""Adaptive batching where the model lives.

BentoML's own dispatcher forms the batches, but BentoML lets only a service's outermost endpoint use it and takes the
limits from the code. Here it stands directly in front of the compiled model, so that one process with three models
batches just as three processes do, and `services.<Name>.batching` in `configuration.yaml` is what counts.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import Context
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.marshal.dispatcher import CorkDispatcher
from bentoml.exceptions import BentoMLConfigException, ServiceUnavailable
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marmita.contract import Floats

log = logging.getLogger("bentoml.marmita")

INLINE_ROWS = 16
"""So few rows run on the event loop: they take less time than a hop to a thread and back costs everyone else."""


class Batching(BaseModel):
    """The block `services.<Name>.batching` of `configuration.yaml`."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    max_batch_size: int = Field(default=128, gt=1, description="rows")
    max_latency_ms: int = Field(default=60_000, gt=0)

    @classmethod
    def of(cls, service: str) -> "Batching":
        """What the configuration in force says for a service."""
        services: dict[str, Any] = BentoMLContainer.config.get().get("services", {})
        try:
            return cls(**services.get(service, {}).get("batching", {}))
        except ValidationError as error:
            wrong = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
            raise BentoMLConfigException(f"services.{service}.batching is wrong: {wrong}") from None


class Batcher:
    """Runs a model on rows from many callers, together when they come together."""

    def __init__(
        self, model: Callable[[Floats], Floats], batching: Batching, ran: Callable[[int, float], None]
    ) -> None:
        self._model = model
        self._batching = batching
        self._ran = ran
        dispatcher: CorkDispatcher[Floats, Floats | Exception] = CorkDispatcher(
            max_latency_in_ms=batching.max_latency_ms,
            max_batch_size=batching.max_batch_size,
            fallback=_overloaded,
            get_batch_size=len,
        )
        self._dispatch = dispatcher(self._run_together)
        self._started = False

    async def __call__(self, rows: Floats) -> Floats:
        if not self._batching.enabled or len(rows) >= self._batching.max_batch_size:
            return await self._run(rows)
        try:
            outputs = await self._dispatched(rows)
        except ServiceUnavailable:
            # The dispatcher takes a caller's own cancellation for an overload. Who was cancelled must not answer.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from None
            raise
        assert isinstance(outputs, np.ndarray)  # an exception in its place was raised by the dispatcher
        return outputs

    async def _dispatched(self, rows: Floats) -> Floats | Exception | None:
        if self._started:
            return await self._dispatch(rows)
        # The first call starts the dispatcher's own task, which lives on in the context that it is started in. An
        # empty one, or all later batches would count as the first caller's request.
        self._started = True
        return await asyncio.get_running_loop().create_task(self._dispatch(rows), context=Context())

    async def _run(self, rows: Floats) -> Floats:
        if len(rows) <= INLINE_ROWS:
            return self._timed(rows)
        return await asyncio.to_thread(self._timed, rows)

    def _timed(self, rows: Floats) -> Floats:
        start = perf_counter()
        outputs = self._model(rows)
        self._ran(len(rows), perf_counter() - start)
        return outputs

    async def _run_together(self, callers: Sequence[Floats]) -> Sequence[Floats | Exception]:
        """Run one batch. When it fails, run its parts alone: only who brought the bad row shall hear of it."""
        if len(callers) == 1:
            return [await self._run(callers[0])]
        try:
            outputs = await self._run(np.concatenate(callers))
        except Exception:
            log.exception("a batch of %d callers failed, running each alone", len(callers))
            return [await self._run_alone(rows) for rows in callers]
        return np.split(outputs, np.cumsum([len(rows) for rows in callers[:-1]]))

    async def _run_alone(self, rows: Floats) -> Floats | Exception:
        try:
            return await self._run(rows)
        except Exception as error:
            return error


def _overloaded() -> NoReturn:
    raise ServiceUnavailable("the model is overloaded: try again later")
