"""The log line that announces the service as ready, with its address and models."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from marmita.hooks import LifespanHook
from marmita.internals.bentoml import is_first_worker, own_address
from marmita.runtime.slot import ModelSlot

log = logging.getLogger(__name__)

_INTERVAL_S = 0.1


class ReadyLine(LifespanHook):
    """A hook that logs once all models are ready, remote ones included. Only the first worker logs it."""

    def __init__(self, service: str, slots: Sequence[ModelSlot], are_ready: Callable[[], Awaitable[bool]]) -> None:
        self._service = service
        self._slots = slots
        self._are_ready = are_ready
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if is_first_worker():
            self._task = asyncio.get_running_loop().create_task(self._wait())

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _wait(self) -> None:
        while not await self._are_ready():  # noqa: ASYNC110  readiness has no event
            await asyncio.sleep(_INTERVAL_S)
        address = own_address(self._service)
        where = f" at {address}" if address else ""
        log.info("ready%s: %s", where, ", ".join(slot.packed.tag for slot in self._slots))
