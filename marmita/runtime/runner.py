"""What the runners of all models have in common: a packed model, its batches, its metrics, and being ready."""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
from bentoml.models import BentoModel

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.rows import Floats
from marmita.records.predictions.bundles import PredictionRequest, Subject
from marmita.records.predictions.recorder import Kept
from marmita.records.quality.evaluators import Evaluator
from marmita.runtime.endpoints import Endpoint, endpoints_of
from marmita.runtime.loaded_model import LoadedModel, flatten
from marmita.runtime.recording import recorder
from marmita.runtime.slot import slot_for_new_runner
from marmita.telemetry import logs

PATIENCE_S = 2.0
"""How long a model may take to say that it is ready."""

_encode = msgspec.json.Encoder().encode


class Predicted(NamedTuple):
    """A model's outputs, the version that gave them, and where they are kept, if they are."""

    by: LoadedModel
    outputs: Floats
    kept: Kept | None = None

    def identify(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the answers to the rows, each with the id by which its row can be labelled."""
        if self.kept is not None:
            id, first = self.kept
            for row, answer in enumerate(answers, start=first):
                answer["id"] = f"{id}-{row}"
        return answers


class Runner(ABC):
    """The base of a model's service. A subclass adds its contract, its evaluator, a sample and its endpoints."""

    model: ClassVar[BentoModel]
    """The version that it starts with."""
    contract: ClassVar[Mapping[str, Any]]
    """What the model takes: a packed model of another contract is not served."""
    evaluator: ClassVar[Evaluator]
    """Says what is recorded of the model's predictions means, and how good they were."""
    needs_prices: ClassVar[bool] = False
    """Whether prices of stocks belong to the model: then the service has routes to load and show them."""
    sample: ClassVar[Floats]
    """Rows that the model must be able to answer to be called ready."""

    def __init__(self) -> None:
        self._current = slot_for_new_runner(type(self))
        self._current.load()
        self._recorder = recorder()

    @property
    def served(self) -> LoadedModel:
        """The version that answers now. Another one may answer the next request."""
        return self._current.load()

    def routes(self) -> Mapping[str, Callable[[bytes], Awaitable[bytes]]]:
        """Return what answers at each typed path: the request's body in, the answer in JSON out."""
        return {path: partial(self._answer, endpoint) for path, endpoint in endpoints_of(type(self)).items()}

    async def _answer(self, endpoint: Endpoint, body: bytes) -> bytes:
        return _encode(await endpoint.handle(self, endpoint.read(body)))

    async def run(self, rows: Floats, subjects: Sequence[Subject | None] = ()) -> Predicted:
        """Return what the model says to these rows, recorded if predictions are to be recorded."""
        served = self.served
        start = perf_counter()
        outputs = await served.run(rows)
        _check_finite(outputs)
        if self._recorder is None:
            return Predicted(served, outputs)
        request = PredictionRequest(logs.request_id.get(), rows, outputs, perf_counter() - start, subjects)
        return Predicted(served, outputs, self._recorder.record(served.name, served.version, request))

    async def predict(self, rows: Floats) -> Predicted:
        """Return the model's bare outputs, counted as those of its own routes are."""
        predicted = await self.run(rows)
        unusual = predicted.by.unusual(rows)
        predicted.by.metrics.answered(len(rows), self.outcomes(rows, predicted.outputs), flatten(unusual))
        return predicted

    @abstractmethod
    def outcomes(self, rows: Floats, outputs: Floats) -> Iterable[str]:
        """Return the class or bucket in which each answer is counted."""

    async def __is_ready__(self) -> bool:
        """Tell whether the model answers its sample in time: it is asked directly, past the queue."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                loop = asyncio.get_running_loop()
                outputs = await loop.run_in_executor(self._probe, self.served.model, self.sample)
        except TimeoutError:
            return False
        return bool(np.isfinite(outputs).all())

    @cached_property
    def _probe(self) -> ThreadPoolExecutor:
        """The thread that asks the model: large batches may hold all those that requests share."""
        return ThreadPoolExecutor(1, "readiness")


def _check_finite(outputs: Floats) -> None:
    """Raise if the model has no answer to a row: nothing of it may be recorded, counted or told."""
    if np.count_nonzero(np.isfinite(outputs)) != outputs.size:  # for few rows in half the time of all()
        row = int(np.argwhere(~np.isfinite(outputs))[0][0])
        raise RequestError(ErrorCode.INVALID_REQUEST, f"the model has no answer to row {row}: are its values possible?")


def model_name(service_class: type) -> str:
    """Return the name that a model has in the store, in routes and in metrics: `wine_quality` for `WineQuality`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", service_class.__name__).lower()
