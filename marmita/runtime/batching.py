"""Adaptive batching where the model lives.

Rows of all requests that are there at the same time go through the model together: those that came in with one turn of
the event loop, and those that came in while a batch was running. Nobody waits for others to come, so that a lone caller
pays nothing, and batches grow with the load by themselves. `services.<Name>.batching` in `configuration.yaml` bounds
them.

BentoML's own batching is part of its per-request stack, which predictions do not pass. `docs/performance.md` compares
the two.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from itertools import accumulate
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from bentoml.exceptions import BentoMLConfigException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.rows import Floats
from marmita.internals.bentoml import configuration

log = logging.getLogger("bentoml.marmita")

INLINE_ROWS = 64
"""So few rows run on the event loop: they take less time than a hop to a thread and back costs everyone else."""


class Batching(BaseModel):
    """The block `services.<Name>.batching` of `configuration.yaml`."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    max_batch_size: int = Field(default=128, gt=1, description="rows")
    max_latency_ms: int = Field(default=10_000, gt=0)

    @classmethod
    def of(cls, service: str) -> "Batching":
        """What the configuration in force says for a service."""
        services: dict[str, Any] = configuration().get("services", {})
        try:
            return cls(**services.get(service, {}).get("batching", {}))
        except ValidationError as error:
            wrong = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
            raise BentoMLConfigException(f"services.{service}.batching is wrong: {wrong}") from None


class _Waiting(NamedTuple):
    """Rows that wait for their turn."""

    rows: Floats
    answer: asyncio.Future[Floats]
    since: float


class Batcher:
    """Runs a model on rows from many callers, together when they come together."""

    def __init__(
        self, model: Callable[[Floats], Floats], batching: Batching, ran: Callable[[int, float], None]
    ) -> None:
        self._model = model
        self._batching = batching
        self._longest_s = batching.max_latency_ms / 1000
        self._ran = ran
        self._queue: deque[_Waiting] = deque()
        self._busy = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, rows: Floats) -> Floats:
        if not self._batching.enabled or len(rows) >= self._batching.max_batch_size:
            return self._run(rows) if len(rows) <= INLINE_ROWS else await asyncio.to_thread(self._run, rows)
        loop = self._loop = self._loop or asyncio.get_running_loop()
        answer: asyncio.Future[Floats] = loop.create_future()
        self._queue.append(_Waiting(rows, answer, perf_counter()))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next, loop, context=Context())  # what runs for many belongs to the request of none
        return await answer

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the next batch, if anybody waits. It begins when all that the loop has just read is in the queue."""
        callers = self._take()
        if not callers:
            self._busy = False
            return
        if sum(len(caller.rows) for caller in callers) <= INLINE_ROWS:
            self._finish(loop, callers, self._run_together(callers))
        else:
            running = loop.run_in_executor(None, self._run_together, callers)
            running.add_done_callback(partial(self._finish_threaded, loop, callers))

    def _finish_threaded(
        self,
        loop: asyncio.AbstractEventLoop,
        callers: Sequence[_Waiting],
        done: asyncio.Future[Sequence[Floats | Exception]],
    ) -> None:
        failed = done.cancelled() or done.exception() is not None
        fault = RequestError(ErrorCode.MODEL_UNAVAILABLE, "the model could not be run: try again in a moment")
        self._finish(loop, callers, [fault] * len(callers) if failed else done.result())

    def _take(self) -> list[_Waiting]:
        """The callers of the next batch. Who has left is passed over, and who has waited too long is told so."""
        callers: list[_Waiting] = []
        rows = 0
        too_late = perf_counter() - self._longest_s
        while self._queue and (not callers or rows + len(self._queue[0].rows) <= self._batching.max_batch_size):
            caller = self._queue.popleft()
            if caller.answer.done():
                continue
            if caller.since < too_late:
                late = RequestError(ErrorCode.MODEL_OVERLOADED, "the model is overloaded: try again later")
                caller.answer.set_exception(late)
                continue
            callers.append(caller)
            rows += len(caller.rows)
        return callers

    def _finish(
        self, loop: asyncio.AbstractEventLoop, callers: Sequence[_Waiting], outputs: Sequence[Floats | Exception]
    ) -> None:
        for caller, output in zip(callers, outputs, strict=True):
            if caller.answer.done():
                continue
            if isinstance(output, Exception):
                caller.answer.set_exception(output)
            else:
                caller.answer.set_result(output)
        if self._queue:
            loop.call_soon(self._next, loop)
        else:
            self._busy = False

    def _run_together(self, callers: Sequence[_Waiting]) -> Sequence[Floats | Exception]:
        """Run one batch. When it fails, run its parts alone: only who brought the bad row shall hear of it."""
        if len(callers) == 1:
            return [self._run_alone(callers[0].rows)]
        try:
            outputs = self._run(np.concatenate([caller.rows for caller in callers]))
        except Exception:
            log.exception("a batch of %d callers failed, running each alone", len(callers))
            return [self._run_alone(caller.rows) for caller in callers]
        ends = accumulate(len(caller.rows) for caller in callers)
        return [outputs[end - len(caller.rows) : end] for caller, end in zip(callers, ends, strict=True)]

    def _run_alone(self, rows: Floats) -> Floats | Exception:
        try:
            return self._run(rows)
        except Exception as error:
            return error

    def _run(self, rows: Floats) -> Floats:
        start = perf_counter()
        outputs = self._model(rows)
        self._ran(len(rows), perf_counter() - start)
        return outputs
