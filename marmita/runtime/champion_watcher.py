"""Taking up newly promoted champions while the service answers."""

import asyncio
import logging
from collections.abc import Sequence
from threading import Event, Thread
from time import monotonic

from bentoml.exceptions import BentoMLException

from marmita.registry import champions, packed_model
from marmita.runtime.slot import ModelSlot
from marmita.telemetry import metrics
from marmita.web.lifespan import LifespanHook

EVERY_S = 1.0
AGAIN_S = 60.0
"""A version that was refused is tried again after this: what was wrong may have been the disk."""

log = logging.getLogger("bentoml.marmita")


class ChampionWatcher(LifespanHook):
    """Looks at the store's champions again and again, and has this process serve them.

    A new version is loaded and tried in a thread, while the old one answers. One that is not fit is refused: the old
    one stays, and a metric says so.
    """

    def __init__(self, models: Sequence[ModelSlot]) -> None:
        self._models = models
        self._refused: dict[str, float] = {}
        self._ending = Event()

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        Thread(target=self._run, args=(loop,), name="following", daemon=True).start()

    def end(self) -> None:
        self._ending.set()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ending.wait(EVERY_S):
            for model in self._models:
                try:
                    self.look(model, loop)
                except Exception:
                    log.exception("the champion of %s could not be looked at", model.packed.name)

    def look(self, model: ModelSlot, loop: asyncio.AbstractEventLoop) -> None:
        name = model.packed.name
        version = champions.champion_version(name)
        if version is None or version == model.packed.version:
            metrics.refuses(name, False)
            return
        tag = f"{name}:{version}"
        if monotonic() - self._refused.get(tag, -AGAIN_S) < AGAIN_S:
            return
        try:
            served = model.tried(packed_model.get(tag))
        except Exception as error:
            # Whatever it is that the new champion can't do, the old one still can.
            self._refused[tag] = monotonic()
            metrics.refuses(name, True)
            known = isinstance(error, BentoMLException)
            log.error("%s is not taken up, %s stays: %s", tag, model.packed.tag, error, exc_info=not known)
            return
        metrics.refuses(name, False)
        log.info("%s is served now, in the place of %s", tag, model.packed.tag)
        loop.call_soon_threadsafe(model.take, served)
