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
from time import perf_counter, thread_time
from typing import Any, NamedTuple

import numpy as np
from bentoml.exceptions import BentoMLConfigException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.rows import Floats
from marmita.internals.bentoml import configuration

log = logging.getLogger(__name__)

INLINE_ROWS = 64
"""The most rows that run on the event loop."""
INLINE_S = 0.001
"""The longest that a batch may be expected to run there, as all others wait meanwhile. A hop to a thread and back
costs them about a tenth of it."""

_WARM_UPS = 3
"""A model's first run takes longer than those that follow."""


Run = Callable[[Floats], Floats]


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


class RunTimes:
    """How long a model is expected to run, by the number of rows: those of about the same size have one estimate.

    An estimate falls at once and rises slowly, as a run is never faster than the model is, and is often held up by
    others. A model that has become slow is found out all the same: a few of its runs raise it above `INLINE_S`.
    """

    _RISE = 1 / 16

    def __init__(self) -> None:
        self._expected = [0.0] * (INLINE_ROWS.bit_length() + 1)

    def allow_inline(self, rows: int) -> bool:
        """Tell whether so many rows may run on the event loop."""
        return rows <= INLINE_ROWS and self._expected[rows.bit_length()] <= INLINE_S

    def expect(self, rows: int, seconds: float) -> None:
        """Take one run as the measure for all sizes. A larger batch takes longer by its rows at most."""
        for size in range(len(self._expected)):
            self._expected[size] = seconds * max(1.0, (2**size - 1) / rows)

    def note(self, rows: int, seconds: float) -> None:
        """Take account of a run."""
        if rows <= INLINE_ROWS:
            size = rows.bit_length()
            above = seconds - self._expected[size]
            self._expected[size] = seconds if above < 0 else self._expected[size] + above * self._RISE


class Batcher:
    """Runs a model on rows from many callers, together when they come together."""

    def __init__(self, model: Run, batching: Batching, ran: Callable[[int, float], None]) -> None:
        self._model = model
        self._batching = batching
        self._longest_s = batching.max_latency_ms / 1000
        self._ran = ran
        self._times = RunTimes()
        self._queue: deque[_Waiting] = deque()
        self._busy = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, rows: Floats) -> Floats:
        if not self._batching.enabled or len(rows) >= self._batching.max_batch_size:
            inline = self._times.allow_inline(len(rows))
            return self._run(rows) if inline else await asyncio.to_thread(self._run_threaded, rows)
        loop = self._loop = self._loop or asyncio.get_running_loop()
        answer: asyncio.Future[Floats] = loop.create_future()
        self._queue.append(_Waiting(rows, answer, perf_counter()))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next, loop, context=Context())  # what runs for many belongs to the request of none
        return await answer

    def warm_up(self, rows: Floats) -> Floats:
        """Run the model on a sample and return its answers: so that it is known how long it takes before it is asked.

        May be called in any thread, before the first request.
        """
        seconds = []
        for _ in range(_WARM_UPS):
            start = thread_time()
            outputs = self._model(rows)
            seconds.append(thread_time() - start)
        self._times.expect(len(rows), min(seconds))
        return outputs

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the next batch, if anybody waits. It begins when all that the loop has just read is in the queue."""
        callers, rows = self._take()
        if not callers:
            self._busy = False
            return
        if self._times.allow_inline(rows):
            self._finish(loop, callers, self._run_together(callers, self._run))
        else:
            running = loop.run_in_executor(None, self._run_together, callers, self._run_threaded)
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

    def _take(self) -> tuple[list[_Waiting], int]:
        """The callers of the next batch, and their rows. Who has left is passed over, and who has waited too long is
        told so.
        """
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
        return callers, rows

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

    def _run_together(self, callers: Sequence[_Waiting], run: Run) -> Sequence[Floats | Exception]:
        """Run one batch. When it fails, run its parts alone: only who brought the bad row shall hear of it."""
        if len(callers) == 1:
            return [_run_alone(run, callers[0].rows)]
        try:
            outputs = run(np.concatenate([caller.rows for caller in callers]))
        except Exception:
            log.exception("a batch of %d callers failed, running each alone", len(callers))
            return [_run_alone(run, caller.rows) for caller in callers]
        ends = accumulate(len(caller.rows) for caller in callers)
        return [outputs[end - len(caller.rows) : end] for caller, end in zip(callers, ends, strict=True)]

    def _run(self, rows: Floats) -> Floats:
        start = perf_counter()
        outputs = self._model(rows)
        seconds = perf_counter() - start
        self._times.note(len(rows), seconds)
        self._ran(len(rows), seconds)
        return outputs

    def _run_threaded(self, rows: Floats) -> Floats:
        """The same in a thread, where a model that is fast may wait for the event loop: its own time alone tells."""
        start, own = perf_counter(), thread_time()
        outputs = self._model(rows)
        self._times.note(len(rows), thread_time() - own)
        self._ran(len(rows), perf_counter() - start)
        return outputs


def _run_alone(run: Run, rows: Floats) -> Floats | Exception:
    try:
        return run(rows)
    except Exception as error:
        return error
