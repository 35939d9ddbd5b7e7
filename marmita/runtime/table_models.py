"""The table models of a process: loaded on first use, replaced when another version is promoted."""

import asyncio
import logging
from collections import OrderedDict
from functools import partial
from time import monotonic

from bentoml.exceptions import BentoMLException, NotFound

from marmita.contract.errors import ErrorCode, RequestError
from marmita.hooks import LifespanHook
from marmita.periodic import Periodic
from marmita.registry.tables import TableStore
from marmita.runtime.champion_watcher import INTERVAL_S, RETRY_S
from marmita.runtime.table_model import TableModel
from marmita.telemetry import metrics

log = logging.getLogger(__name__)


class TableModels(LifespanHook):
    """The loaded table models. The least recently used one is dropped when there are too many.

    A thread looks for new champions of the loaded models, and loads and tests them while the old ones answer.
    """

    def __init__(self, store: TableStore, most: int) -> None:
        self.store = store
        self._most = most
        self._loaded: OrderedDict[str, TableModel] = OrderedDict()
        """The loaded versions by tag, the most recently used one last."""
        self._champions: dict[str, str] = {}
        """The tag of the loaded champion of each model."""
        self._loading: dict[tuple[str, str], asyncio.Task[TableModel]] = {}
        self._one_load = asyncio.Lock()
        self._rejected: dict[str, float] = {}
        self._thread: Periodic | None = None
        self._first: asyncio.Task[bool] | None = None

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._first = loop.create_task(self._load_first())
        self._thread = Periodic("table model watcher", partial(self._check_all, loop), INTERVAL_S)
        self._thread.start()

    def end(self) -> None:
        if self._thread is not None:
            self._thread.stop()
        if self._first is not None:
            self._first.cancel()

    def is_loaded(self, name: str) -> bool:
        return name in self._champions

    async def are_ready(self) -> bool:
        """Tell whether the table models of this Bento, if it has any, were loaded."""
        first = self._first
        return first is not None and first.done() and not first.cancelled() and first.result()

    async def _load_first(self) -> bool:
        """Load the table models of this Bento, so that their first request need not wait."""
        for name in list(self.store.in_bento)[: self._most]:
            try:
                await self.get(name)
            except RequestError as error:
                log.error("the Bento's model %s can't be served: %s", name, error)
                return False
        return True

    async def get(self, name: str, version: str = "") -> TableModel:
        """Return the champion of a model, or one version of it. Load it if it is not loaded."""
        tag = f"{name}:{version}" if version else self._champions.get(name, "")
        found = self._loaded.get(tag)
        if found is None:
            return await asyncio.shield(self._loading.get((name, version)) or self._begin(name, version))
        self._loaded.move_to_end(tag)
        return found

    def _begin(self, name: str, version: str) -> asyncio.Task[TableModel]:
        """Start to load a model. Concurrent requests for it wait for the same task."""
        asked = name, version
        task = self._loading[asked] = asyncio.create_task(self._load(name, version))
        task.add_done_callback(partial(self._finish, asked))
        return task

    def _finish(self, asked: tuple[str, str], task: asyncio.Task[TableModel]) -> None:
        del self._loading[asked]
        if not task.cancelled():
            task.exception()  # all callers may be gone, and asyncio logs exceptions that are never retrieved

    async def _load(self, name: str, version: str) -> TableModel:
        async with self._one_load:
            model = await asyncio.to_thread(self._read, name, version)
        self._keep(model)
        if not version:
            self._serve(name, model)
        return model

    def _read(self, name: str, version: str) -> TableModel:
        tag = f"{name}:{version}" if version else self.store.champion_tag(name)
        if tag is None:
            raise RequestError(ErrorCode.MODEL_NOT_FOUND, f"there is no model {name}")
        if self._is_rejected(tag):
            raise _unavailable(tag)
        try:
            return TableModel.load(self.store.get(tag))
        except NotFound:
            raise RequestError(ErrorCode.MODEL_NOT_FOUND, f"there is no model {tag}") from None
        except Exception as error:  # a broken version may raise anything
            self._reject(tag, error)
            raise _unavailable(tag) from error

    def _keep(self, model: TableModel) -> None:
        self._loaded[model.packed.tag] = model
        while len(self._loaded) > self._most:
            tag, old = self._loaded.popitem(last=False)
            if self._champions.get(old.packed.name) == tag:
                del self._champions[old.packed.name]

    def _serve(self, name: str, model: TableModel) -> None:
        before = self._champions.get(name)
        packed = model.packed
        self._champions[name] = packed.tag
        metrics.rejects_champion(name, False)
        if before != packed.tag:
            no_more = before.partition(":")[2] if before else None
            metrics.serves(name, packed.version, packed.card.made, no_more=no_more)

    def _check_all(self, loop: asyncio.AbstractEventLoop) -> None:
        for name, tag in list(self._champions.items()):
            try:
                self._check(name, tag, loop)
            except Exception:
                log.exception("check for a new champion of %s failed", name)

    def _check(self, name: str, tag: str, loop: asyncio.AbstractEventLoop) -> None:
        now = self.store.champion_tag(name)
        if now == tag:
            return
        if now is None:
            log.info("%s was removed", tag)
            loop.call_soon_threadsafe(self._drop, name)
        elif not self._is_rejected(now):
            try:
                model = TableModel.load(self.store.get(now))
            except Exception as error:  # a broken version may raise anything, and the old one still works
                self._reject(now, error)
                return
            log.info("champion %s replaces %s", now, tag)
            loop.call_soon_threadsafe(self._take, name, model)

    def _take(self, name: str, model: TableModel) -> None:
        before = self._champions.get(name)
        if before is None:  # dropped meanwhile: it is loaded again when it is asked for
            return
        self._loaded.pop(before, None)
        self._keep(model)
        self._serve(name, model)

    def _drop(self, name: str) -> None:
        tag = self._champions.pop(name, None)
        if tag is not None:
            self._loaded.pop(tag, None)
            metrics.serves_no_more(name, tag.partition(":")[2])

    def _is_rejected(self, tag: str) -> bool:
        return monotonic() - self._rejected.get(tag, -RETRY_S) < RETRY_S

    def _reject(self, tag: str, error: Exception) -> None:
        self._rejected[tag] = monotonic()
        metrics.rejects_champion(tag.partition(":")[0], True)
        log.error("%s rejected: %s", tag, error, exc_info=not isinstance(error, BentoMLException))


def _unavailable(tag: str) -> RequestError:
    return RequestError(ErrorCode.MODEL_UNAVAILABLE, f"{tag} can't be served, see the server's log")
