"""Adaptive batching in the process that runs the model.

A batch holds the rows of all requests that arrived in one iteration of the event loop, or while the previous batch was
running. A batch never waits for further requests: a single request has no added latency, and batches grow with the
load. `services.<Name>.batching` in `configuration.yaml` limits them.

BentoML's own batching belongs to its per-request stack, which predictions bypass. `docs/performance.md` compares the
two.
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
"""The maximum size of a batch that runs on the event loop."""
INLINE_S = 0.001
"""The maximum expected duration of a batch on the event loop, which it blocks. A switch to a thread and back takes
about a tenth as long."""

_WARM_UPS = 3
"""More than one run, as a model's first run takes longer than the later ones."""


Run = Callable[[Floats], Floats]


class Batching(BaseModel):
    """The block `services.<Name>.batching` of `configuration.yaml`."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    max_batch_size: int = Field(default=128, gt=1, description="rows")
    max_latency_ms: int = Field(default=10_000, gt=0)

    @classmethod
    def of(cls, service: str) -> "Batching":
        """Return a service's block of the configuration in force."""
        services: dict[str, Any] = configuration().get("services", {})
        try:
            return cls(**services.get(service, {}).get("batching", {}))
        except ValidationError as error:
            wrong = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
            raise BentoMLConfigException(f"services.{service}.batching is wrong: {wrong}") from None


class _QueuedRows(NamedTuple):
    """The rows of one caller in the queue."""

    rows: Floats
    answer: asyncio.Future[Floats]
    since: float


class RunTimes:
    """The expected duration of a model's run by batch size, with one estimate per power of two.

    An estimate falls at once and rises slowly, as other load often delays a run but never shortens it. A few runs of a
    model that has become slow still raise the estimate above `INLINE_S`.
    """

    _RISE = 1 / 16

    def __init__(self) -> None:
        self._expected = [0.0] * (INLINE_ROWS.bit_length() + 1)

    def allow_inline(self, rows: int) -> bool:
        """Tell whether this number of rows may run on the event loop."""
        return rows <= INLINE_ROWS and self._expected[rows.bit_length()] <= INLINE_S

    def expect(self, rows: int, seconds: float) -> None:
        """Set the estimates of all sizes from one run. The duration grows at most in proportion to the rows."""
        for size in range(len(self._expected)):
            self._expected[size] = seconds * max(1.0, (2**size - 1) / rows)

    def note(self, rows: int, seconds: float) -> None:
        """Update the estimate of a run's size."""
        if rows <= INLINE_ROWS:
            size = rows.bit_length()
            above = seconds - self._expected[size]
            self._expected[size] = seconds if above < 0 else self._expected[size] + above * self._RISE


class Batcher:
    """A queue that runs a model on the rows of concurrent callers in batches."""

    def __init__(self, model: Run, batching: Batching, on_run: Callable[[int, float], None]) -> None:
        self._model = model
        self._batching = batching
        self._max_wait_s = batching.max_latency_ms / 1000
        self._on_run = on_run
        self._run_times = RunTimes()
        self._queue: deque[_QueuedRows] = deque()
        self._busy = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, rows: Floats) -> Floats:
        if not self._batching.enabled or len(rows) >= self._batching.max_batch_size:
            inline = self._run_times.allow_inline(len(rows))
            return self._run(rows) if inline else await asyncio.to_thread(self._run_threaded, rows)
        loop = self._loop = self._loop or asyncio.get_running_loop()
        answer: asyncio.Future[Floats] = loop.create_future()
        self._queue.append(_QueuedRows(rows, answer, perf_counter()))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._start_next, loop, context=Context())  # a batch belongs to no single request
        return await answer

    def warm_up(self, rows: Floats) -> Floats:
        """Run the model on a sample, set the run time estimates, and return its answers.

        Call it before the first request, in any thread.
        """
        seconds = []
        for _ in range(_WARM_UPS):
            start = thread_time()
            outputs = self._model(rows)
            seconds.append(thread_time() - start)
        self._run_times.expect(len(rows), min(seconds))
        return outputs

    def _start_next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the next batch if callers are queued. By now the queue has all requests of this loop iteration."""
        callers, rows = self._take_batch()
        if not callers:
            self._busy = False
            return
        if self._run_times.allow_inline(rows):
            self._finish(loop, callers, self._run_batch(callers, self._run))
        else:
            running = loop.run_in_executor(None, self._run_batch, callers, self._run_threaded)
            running.add_done_callback(partial(self._finish_threaded, loop, callers))

    def _finish_threaded(
        self,
        loop: asyncio.AbstractEventLoop,
        callers: Sequence[_QueuedRows],
        done: asyncio.Future[Sequence[Floats | Exception]],
    ) -> None:
        failed = done.cancelled() or done.exception() is not None
        fault = RequestError(ErrorCode.MODEL_UNAVAILABLE, "the model could not be run: try again in a moment")
        self._finish(loop, callers, [fault] * len(callers) if failed else done.result())

    def _take_batch(self) -> tuple[list[_QueuedRows], int]:
        """Return the callers of the next batch and the number of their rows.

        Skip callers that have disconnected, and fail those that have waited longer than the limit.
        """
        callers: list[_QueuedRows] = []
        rows = 0
        oldest_allowed = perf_counter() - self._max_wait_s
        while self._queue and (not callers or rows + len(self._queue[0].rows) <= self._batching.max_batch_size):
            caller = self._queue.popleft()
            if caller.answer.done():
                continue
            if caller.since < oldest_allowed:
                overloaded = RequestError(ErrorCode.MODEL_OVERLOADED, "the model is overloaded: try again later")
                caller.answer.set_exception(overloaded)
                continue
            callers.append(caller)
            rows += len(caller.rows)
        return callers, rows

    def _finish(
        self, loop: asyncio.AbstractEventLoop, callers: Sequence[_QueuedRows], outputs: Sequence[Floats | Exception]
    ) -> None:
        for caller, output in zip(callers, outputs, strict=True):
            if caller.answer.done():
                continue
            if isinstance(output, Exception):
                caller.answer.set_exception(output)
            else:
                caller.answer.set_result(output)
        if self._queue:
            loop.call_soon(self._start_next, loop)
        else:
            self._busy = False

    def _run_batch(self, callers: Sequence[_QueuedRows], run: Run) -> Sequence[Floats | Exception]:
        """Run one batch. If it fails, run each caller's rows alone, so that only the caller with the bad row fails."""
        if len(callers) == 1:
            return [_run_alone(run, callers[0].rows)]
        try:
            outputs = run(np.concatenate([caller.rows for caller in callers]))
        except Exception:
            log.exception("batch of %d callers failed: running each alone", len(callers))
            return [_run_alone(run, caller.rows) for caller in callers]
        ends = accumulate(len(caller.rows) for caller in callers)
        return [outputs[end - len(caller.rows) : end] for caller, end in zip(callers, ends, strict=True)]

    def _run(self, rows: Floats) -> Floats:
        start = perf_counter()
        outputs = self._model(rows)
        seconds = perf_counter() - start
        self._run_times.note(len(rows), seconds)
        self._on_run(len(rows), seconds)
        return outputs

    def _run_threaded(self, rows: Floats) -> Floats:
        """Run the model in a thread, and note its CPU time: in wall time it may also wait for the event loop."""
        start, own = perf_counter(), thread_time()
        outputs = self._model(rows)
        self._run_times.note(len(rows), thread_time() - own)
        self._on_run(len(rows), perf_counter() - start)
        return outputs


def _run_alone(run: Run, rows: Floats) -> Floats | Exception:
    try:
        return run(rows)
    except Exception as error:
        return error
