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

from marmita.contract.schema import Floats
from marmita.records.predictions.bundles import PredictionRequest, Subject
from marmita.records.predictions.recorder import Kept
from marmita.records.quality.evaluators import Evaluator
from marmita.runtime.loaded_model import LoadedModel, flatten
from marmita.runtime.recording import recorder
from marmita.runtime.slot import its_own
from marmita.telemetry import logs


class Predicted(NamedTuple):
    """A model's outputs, the version that gave them, and where they are kept, if they are."""

    by: LoadedModel
    outputs: Floats
    kept: Kept | None = None

    def identify(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to the rows, each with the id by which its row can be labelled."""
        if self.kept is not None:
            id, first = self.kept
            for row, answer in enumerate(answers, start=first):
                answer["id"] = f"{id}-{row}"
        return answers


class Runner(ABC):
    """The base of a model's service. A subclass adds its model, its judge, a sample and its route."""

    model: ClassVar[BentoModel]
    evaluator: ClassVar[Evaluator]
    """Says what is kept of the model's predictions means, and how good they were."""
    sample: ClassVar[Floats]
    """Rows that the model must be able to answer to be called ready."""

    def __init__(self) -> None:
        self._current = its_own(type(self))
        self._current.load()
        self._recorder = recorder()

    @property
    def served(self) -> LoadedModel:
        """The version that answers now. Another one may answer the next request."""
        return self._current.load()

    async def run(self, rows: Floats, subjects: Sequence[Subject | None] = ()) -> Predicted:
        """What the model says to these rows, kept if predictions are to be kept."""
        served = self.served
        if self._recorder is None:
            return Predicted(served, await served.run(rows))
        start = perf_counter()
        outputs = await served.run(rows)
        request = PredictionRequest(logs.request_id.get(), rows, outputs, perf_counter() - start, subjects)
        return Predicted(served, outputs, self._recorder.record(served.name, served.version, request))

    async def predict(self, rows: Floats) -> Predicted:
        """The model's bare outputs, counted as those of its own route are."""
        predicted = await self.run(rows)
        unusual = predicted.by.unusual(rows)
        predicted.by.metrics.answered(len(rows), self.outcomes(rows, predicted.outputs), flatten(unusual))
        return predicted

    @abstractmethod
    def outcomes(self, rows: Floats, outputs: Floats) -> Iterable[str]:
        """The class or bucket in which each answer is counted."""

    async def __is_ready__(self) -> bool:
        """Ready is who can answer: the model is asked, past the queue."""
        outputs = await asyncio.to_thread(self.served.model, self.sample)
        return bool(np.isfinite(outputs).all())


def answer(rows: Any) -> Any:
    """Rows of plain values as the answer to whoever asked over HTTP. From a runner to the door they go as they are.

    BentoML would make a model of each row, validate it, take it apart again and write it with Python's own JSON: half
    of what a request with a thousand rows costs.
    """
    if isinstance(rows, Response) or server_context.service_type == "service":
        return rows
    return Response(to_json(rows), media_type="application/json")
