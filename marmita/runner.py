"""What the runners of all models have in common: a packed model, its batches, its metrics, and being ready."""

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from bentoml.models import BentoModel

from marmita.batching import Batcher, Batching
from marmita.contract import Floats
from marmita.metrics import ModelMetrics
from marmita.store import Packed


class Runner:
    """The base of a model's service. A subclass adds its model, a sample and its route."""

    model: ClassVar[BentoModel]
    sample: ClassVar[Floats]
    """Rows that the model must be able to answer to be called ready."""

    def __init__(self) -> None:
        stored: Any = self.model
        packed = Packed.of(stored)
        self.tag = packed.tag
        self.reference = packed.reference
        self.metrics = ModelMetrics(packed.name, packed.version)
        self._compiled = packed.compiled()
        self.run = Batcher(self._compiled, Batching.of(type(self).__name__), self.metrics.ran)

    async def __is_ready__(self) -> bool:
        """Ready is who can answer: the model is asked, past the queue."""
        outputs = await asyncio.to_thread(self._compiled, self.sample)
        return bool(np.isfinite(outputs).all())


class FeatureRanges:
    """The range of each feature in training, and which of a row's features lie outside."""

    def __init__(self, reference: dict[str, Any]) -> None:
        self._names = list(reference["features"])
        ranges = reference["features"].values()
        self._low = np.array([feature["min"] for feature in ranges], dtype=np.float32)
        self._high = np.array([feature["max"] for feature in ranges], dtype=np.float32)

    def unusual(self, rows: Floats) -> list[list[str]]:
        outside = (rows < self._low) | (rows > self._high)
        found: list[list[str]] = [[] for _ in rows]
        for row, feature in np.argwhere(outside):
            found[row].append(self._names[feature])
        return found


def flatten(lists: Iterable[list[str]]) -> list[str]:
    """All items of all lists."""
    return [item for items in lists for item in items]
