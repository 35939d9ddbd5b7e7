"""Model slots: each holds the version of a model that this process serves, and can replace it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from marmita.contract.rows import Floats
from marmita.records.database.database import Database
from marmita.records.quality import quality
from marmita.records.quality.evaluators import Evaluator, table_evaluator
from marmita.registry.fitness import NotServableError, check_servable
from marmita.registry.packed_model import PackedModel
from marmita.runtime.batching import Batching
from marmita.runtime.endpoints import endpoints_of
from marmita.runtime.loaded_model import LoadedModel
from marmita.telemetry import metrics


@dataclass(frozen=True)
class ServedVersion:
    """A version that is served, with the evaluator of its records."""

    packed: PackedModel
    evaluator: Evaluator

    @classmethod
    def of_table(cls, packed: PackedModel) -> "ServedVersion":
        return cls(packed, table_evaluator(packed.name, packed.contract))

    def measure(self, database: Database, window: timedelta) -> quality.Quality:
        """Measure the quality of this version over a window that ends now."""
        held_out: Mapping[str, Any] = self.packed.card.held_out
        return quality.measure(
            database,
            self.evaluator,
            version=self.packed.version,
            reference=self.packed.reference,
            held_out=held_out,
            window=window,
            now=datetime.now(UTC),
        )


class ModelSlot:
    """The version of one model in this process. Its runner runs here, or in another process with its own slot."""

    def __init__(self, runner: Any) -> None:
        self.packed = PackedModel.of(runner.model.resolve())
        self.evaluator: Evaluator = runner.evaluator
        self.served: LoadedModel | None = None
        """The loaded model, or None if another process runs the model."""
        self._contract: Mapping[str, Any] = runner.contract
        self._sample: Floats = runner.sample
        self._batching = Batching.of(runner.__name__)
        self._endpoints = tuple(endpoints_of(runner))

    def version(self) -> str:
        return self.packed.version

    def load(self) -> LoadedModel:
        """Load the model on the first call, and return the loaded model."""
        if self.served is None:
            self.served = self._load(self.packed)
            metrics.serves(self.packed.name, self.packed.version, self.packed.card.made)
            metrics.answers_at(self.packed.name, self._endpoints)
        return self.served

    def load_fit(self, packed: PackedModel) -> LoadedModel:
        """Load another version to replace this one. Raise `NotServableError` if it can't be served."""
        check_servable(packed, self._contract)
        return self._load(packed)

    def _load(self, packed: PackedModel) -> LoadedModel:
        loaded = LoadedModel(packed, self._batching)
        answers = loaded.run.warm_up(self._sample)
        if answers.shape != (len(self._sample), self.evaluator.outputs) or not np.isfinite(answers).all():
            raise NotServableError(f"{packed.tag} does not answer its sample")
        return loaded

    def take(self, served: LoadedModel) -> None:
        """Serve another loaded model. Running requests finish with the one that they started with."""
        before, self.packed = self.packed, served.packed
        if self.served is not None:
            self.served = served
            metrics.serves(self.packed.name, self.packed.version, self.packed.card.made, no_more=before.version)

    @property
    def current(self) -> ServedVersion:
        return ServedVersion(self.packed, self.evaluator)


_slots: dict[type, ModelSlot] = {}


def slot_for(runner: type) -> ModelSlot:
    """Return the slot of a runner's model in this process."""
    return _slots.get(runner) or new_slot(runner)


def slot_for_new_runner(runner: type) -> ModelSlot:
    """Return the slot for a new runner; give it its own if another runner in this process holds one."""
    found = slot_for(runner)
    return found if found.served is None else new_slot(runner)


def new_slot(runner: type) -> ModelSlot:
    """Return a new slot for a new application or runner, and make it the runner's current slot."""
    _slots[runner] = ModelSlot(runner)
    return _slots[runner]
