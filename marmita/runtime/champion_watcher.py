"""The champion watcher: loads newly promoted champions while the service runs."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from time import monotonic

from bentoml.exceptions import BentoMLException

from marmita.hooks import LifespanHook
from marmita.periodic import Periodic
from marmita.registry import champions, packed_model
from marmita.runtime.slot import ModelSlot
from marmita.telemetry import metrics

INTERVAL_S = 1.0
RETRY_S = 60.0
"""The time after which a rejected version is retried, as the cause may have been the disk."""

log = logging.getLogger(__name__)


class ChampionWatcher(LifespanHook):
    """A periodic check of the store's champions that makes this process serve them.

    A thread loads and tests a new version while the old one answers. A version that fails is rejected: the old one
    stays, and a metric shows the rejection.
    """

    def __init__(self, models: Sequence[ModelSlot]) -> None:
        self._models = models
        self._rejected: dict[str, float] = {}
        self._thread: Periodic | None = None

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._thread = Periodic("champion watcher", partial(self._check_all, loop), INTERVAL_S)
        self._thread.start()

    def end(self) -> None:
        if self._thread is not None:
            self._thread.stop()

    def look(self, model: ModelSlot, loop: asyncio.AbstractEventLoop) -> None:
        """Load the champion of one model unless the process serves it already."""
        name = model.packed.name
        version = champions.champion_version(name)
        if version is None or version == model.packed.version:
            metrics.rejects_champion(name, False)
            return
        tag = f"{name}:{version}"
        if monotonic() - self._rejected.get(tag, -RETRY_S) < RETRY_S:
            return
        try:
            loaded = model.load_fit(packed_model.get(tag))
        except Exception as error:
            # A broken version may raise anything, and the old one still works.
            self._rejected[tag] = monotonic()
            metrics.rejects_champion(name, True)
            known = isinstance(error, BentoMLException)
            log.error("champion %s rejected, still serving %s: %s", tag, model.packed.tag, error, exc_info=not known)
            return
        metrics.rejects_champion(name, False)
        log.info("champion %s replaces %s", tag, model.packed.tag)
        loop.call_soon_threadsafe(model.take, loaded)

    def _check_all(self, loop: asyncio.AbstractEventLoop) -> None:
        for model in self._models:
            try:
                self.look(model, loop)
            except Exception:
                log.exception("check for a new champion of %s failed", model.packed.name)
