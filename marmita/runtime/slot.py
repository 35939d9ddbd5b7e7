"""Which version of each model this process serves, and how it takes up another one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from marmita.contract.rows import Floats
from marmita.records.database.database import Database
from marmita.records.quality import quality
from marmita.records.quality.evaluators import Evaluator
from marmita.registry.fitness import NotServableError, check_servable
from marmita.registry.packed_model import PackedModel
from marmita.runtime.batching import Batching
from marmita.runtime.endpoints import endpoints_of
from marmita.runtime.loaded_model import LoadedModel
from marmita.telemetry import metrics


class ModelSlot:
    """One model, as this process knows it. Its runner lives here, or in a process of its own that knows the same."""

    def __init__(self, runner: Any) -> None:
        self.packed = PackedModel.of(runner.model.resolve())
        self.evaluator: Evaluator = runner.evaluator
        self.served: LoadedModel | None = None
        """Loaded, if this process answers for the model."""
        self._contract: Mapping[str, Any] = runner.contract
        self._sample: Floats = runner.sample
        self._batching = Batching.of(runner.__name__)
        self._endpoints = tuple(endpoints_of(runner))

    def version(self) -> str:
        return self.packed.version

    def load(self) -> LoadedModel:
        """Answer for the model in this process, from now on."""
        if self.served is None:
            self.served = self._loaded(self.packed)
            metrics.serves(self.packed.name, self.packed.version, self.packed.card.made)
            metrics.answers_at(self.packed.name, self._endpoints)
        return self.served

    def load_fit(self, packed: PackedModel) -> LoadedModel:
        """Load another version, to be served in the place of this one. Raise `NotServableError` if it is not fit."""
        check_servable(packed, self._contract)
        return self._loaded(packed)

    def _loaded(self, packed: PackedModel) -> LoadedModel:
        loaded = LoadedModel(packed, self._batching)
        answers = loaded.run.warm_up(self._sample)
        if answers.shape != (len(self._sample), self.evaluator.outputs) or not np.isfinite(answers).all():
            raise NotServableError(f"{packed.tag} does not answer its sample")
        return loaded

    def take(self, served: LoadedModel) -> None:
        """Serve it. Requests that are under way end with the version that they began with."""
        before, self.packed = self.packed, served.packed
        if self.served is not None:
            self.served = served
            metrics.serves(self.packed.name, self.packed.version, self.packed.card.made, no_more=before.version)

    def measure(self, database: Database, window: timedelta) -> quality.Quality:
        """How good the served version was, over a window that ends now."""
        return measure(self.packed, self.evaluator, database, window)


def measure(packed: PackedModel, evaluator: Evaluator, database: Database, window: timedelta) -> quality.Quality:
    """How good a version was, over a window that ends now."""
    held_out: Mapping[str, Any] = packed.card.held_out
    return quality.measure(
        database,
        evaluator,
        version=packed.version,
        reference=packed.reference,
        held_out=held_out,
        window=window,
        now=datetime.now(UTC),
    )


_known: dict[type, ModelSlot] = {}


def slot_for(runner: type) -> ModelSlot:
    """Return the slot of a runner's model in this process."""
    return _known.get(runner) or new_slot(runner)


def slot_for_new_runner(runner: type) -> ModelSlot:
    """Return the slot for a new runner; give it its own if another runner in this process holds one."""
    found = slot_for(runner)
    return found if found.served is None else new_slot(runner)


def new_slot(runner: type) -> ModelSlot:
    """Return a new slot, for an application that is about to be made."""
    _known[runner] = ModelSlot(runner)
    return _known[runner]
