"""Taking up newly promoted champions while the service answers."""

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
"""A version that was rejected is tried again after this: what was wrong may have been the disk."""

log = logging.getLogger("bentoml.marmita")


class ChampionWatcher(LifespanHook):
    """Looks at the store's champions at an interval, and has this process serve them.

    A new version is loaded and tried in a thread, while the old one answers. One that is not fit is rejected: the old
    one stays, and a metric says so.
    """

    def __init__(self, models: Sequence[ModelSlot]) -> None:
        self._models = models
        self._rejected: dict[str, float] = {}
        self._thread: Periodic | None = None

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._thread = Periodic("champion watcher", partial(self._look_at_all, loop), INTERVAL_S)
        self._thread.start()

    def end(self) -> None:
        if self._thread is not None:
            self._thread.stop()

    def look(self, model: ModelSlot, loop: asyncio.AbstractEventLoop) -> None:
        """Have the champion of one model served, if another version is served now."""
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
            # Whatever it is that the new champion can't do, the old one still can.
            self._rejected[tag] = monotonic()
            metrics.rejects_champion(name, True)
            known = isinstance(error, BentoMLException)
            log.error("%s is not taken up, %s stays: %s", tag, model.packed.tag, error, exc_info=not known)
            return
        metrics.rejects_champion(name, False)
        log.info("%s is served now, in the place of %s", tag, model.packed.tag)
        loop.call_soon_threadsafe(model.take, loaded)

    def _look_at_all(self, loop: asyncio.AbstractEventLoop) -> None:
        for model in self._models:
            try:
                self.look(model, loop)
            except Exception:
                log.exception("the champion of %s could not be looked at", model.packed.name)
