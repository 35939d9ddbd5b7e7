"""What the runners of all models have in common: a packed model, its batches, its metrics, and being ready."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import numpy as np
from bentoml._internal.context import server_context
from bentoml.models import BentoModel
from pydantic_core import to_json
from starlette.responses import Response

from marmita import logs
from marmita.batching import Batcher, Batching
from marmita.contract import Floats
from marmita.metrics import ModelMetrics
from marmita.recording import recorder
from marmita.store import Packed
from marmita.tensors import Bounds, Signature
from records.judging import Judge
from records.recorder import Subject


class Predicted(NamedTuple):
    """A model's outputs, and the id by which they can be found again, if they are kept."""

    outputs: Floats
    id: str | None = None

    def identify(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to the rows, each with the id by which its row can be labelled."""
        if self.id is not None:
            for row, answer in enumerate(answers):
                answer["id"] = f"{self.id}-{row}"
        return answers


class Runner(ABC):
    """The base of a model's service. A subclass adds its model, its judge, a sample and its route."""

    model: ClassVar[BentoModel]
    judge: ClassVar[Judge]
    """Says what is kept of the model's predictions means, and how good they were."""
    sample: ClassVar[Floats]
    """Rows that the model must be able to answer to be called ready."""

    def __init__(self) -> None:
        stored: Any = self.model
        packed = Packed.of(stored)
        self._packed = packed
        self._recorder = recorder()
        self.tag = packed.tag
        self.reference = packed.reference
        self.metrics = ModelMetrics(packed.name, packed.version)
        self._compiled = packed.compiled()
        self._batcher = Batcher(self._compiled, Batching.of(type(self).__name__), self.metrics.ran)
        model = self._compiled
        bounds = Bounds.of(packed.contract["features"])
        self.signature = Signature(packed.name, packed.version, model.input, model.width, model.outputs, bounds)

    async def run(self, rows: Floats, subjects: Sequence[Subject | None] = ()) -> Predicted:
        """What the model says to these rows, kept if predictions are to be kept."""
        if self._recorder is None:
            return Predicted(await self._batcher(rows))
        start = perf_counter()
        outputs = await self._batcher(rows)
        seconds, id = perf_counter() - start, logs.request_id.get()
        packed = self._packed
        kept = self._recorder.record(packed.name, packed.version, id, rows, outputs, seconds, subjects)
        return Predicted(outputs, kept)

    async def predict(self, rows: Floats) -> Predicted:
        """The model's bare outputs, counted as those of its own route are."""
        predicted = await self.run(rows)
        self.metrics.answered(self.outcomes(rows, predicted.outputs), flatten(self.unusual(rows)))
        return predicted

    @abstractmethod
    def outcomes(self, rows: Floats, outputs: Floats) -> Iterable[str]:
        """The class or bucket in which each answer is counted."""

    def unusual(self, _rows: Floats) -> list[list[str]]:
        """The names of each row's features that lie outside the range seen in training."""
        return []

    async def __is_ready__(self) -> bool:
        """Ready is who can answer: the model is asked, past the queue."""
        outputs = await asyncio.to_thread(self._compiled, self.sample)
        return bool(np.isfinite(outputs).all())


def answer(rows: Any) -> Any:
    """Rows of plain values as the answer to whoever asked over HTTP. From a runner to the door they go as they are.

    BentoML would make a model of each row, validate it, take it apart again and write it with Python's own JSON: half
    of what a request with a thousand rows costs.
    """
    if isinstance(rows, Response) or server_context.service_type == "service":
        return rows
    return Response(to_json(rows), media_type="application/json")


class FeatureRanges:
    """The range of each feature in training, and which of a row's features lie outside."""

    def __init__(self, reference: dict[str, Any]) -> None:
        self._names = list(reference["features"])
        ranges = reference["features"].values()
        self._low = np.array([feature["min"] for feature in ranges], dtype=np.float32)
        self._high = np.array([feature["max"] for feature in ranges], dtype=np.float32)

    def unusual(self, rows: Floats) -> list[list[str]]:
        outside = (rows < self._low) | (rows > self._high)
        found: list[list[str]] = [[] for _ in range(len(rows))]
        if not np.count_nonzero(outside):  # several times faster than any() for few rows
            return found
        for row, feature in np.argwhere(outside):
            found[row].append(self._names[feature])
        return found


def flatten(lists: Iterable[list[str]]) -> list[str]:
    """All items of all lists."""
    return [item for items in lists for item in items]
