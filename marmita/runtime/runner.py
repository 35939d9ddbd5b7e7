"""The base class of all models' runners: inference with batching, recording, metrics and the readiness check."""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, ClassVar

import msgspec
import numpy as np
from bentoml.models import BentoModel

from marmita.contract.rows import Floats
from marmita.records.predictions.bundles import Subject
from marmita.records.quality.evaluators import Evaluator
from marmita.runtime.endpoints import Endpoint, endpoints_of
from marmita.runtime.loaded_model import LoadedModel, Predicted, flatten
from marmita.runtime.slot import slot_for_new_runner

PATIENCE_S = 2.0
"""The time limit of the readiness check."""

_encode = msgspec.json.Encoder().encode


class Runner(ABC):
    """The base of a model's service. A subclass adds its contract, its evaluator, a sample and its endpoints."""

    model: ClassVar[BentoModel]
    """The version that the service starts with."""
    contract: ClassVar[Mapping[str, Any]]
    """The model's features. A packed model with another contract is not served."""
    evaluator: ClassVar[Evaluator]
    """The evaluator of the model's recorded predictions."""
    needs_prices: ClassVar[bool] = False
    """Whether the model uses stock prices. If so, the service has routes to load and show them."""
    sample: ClassVar[Floats]
    """Rows that the model must answer to be ready."""

    def __init__(self) -> None:
        self._slot = slot_for_new_runner(type(self))
        self._slot.load()

    @property
    def served(self) -> LoadedModel:
        """The loaded model for a request that begins now. The next request may get another one."""
        return self._slot.load()

    def routes(self) -> Mapping[str, Callable[[bytes], Awaitable[bytes]]]:
        """Return the handler of each typed path. It takes the request body and returns the answer in JSON."""
        return {path: partial(self._answer, endpoint) for path, endpoint in endpoints_of(type(self)).items()}

    async def _answer(self, endpoint: Endpoint, body: bytes) -> bytes:
        return _encode(await endpoint.handle(self, endpoint.read(body)))

    async def run(self, rows: Floats, subjects: Sequence[Subject | None] = ()) -> Predicted:
        """Run the model on these rows, and record the prediction if recording is on."""
        return await self.served.predict(rows, subjects)

    async def predict(self, rows: Floats) -> Predicted:
        """Run the model on these rows, and count the answers in the metrics as the typed routes do."""
        predicted = await self.run(rows)
        self._count(rows, predicted)
        return predicted

    def _count(self, rows: Floats, predicted: Predicted) -> list[list[str]]:
        """Count the answers. Return the features of each row that are outside the range seen in training."""
        unusual = predicted.by.unusual(rows)
        predicted.by.metrics.answered(len(rows), self.outcomes(rows, predicted.outputs), flatten(unusual))
        return unusual

    @abstractmethod
    def outcomes(self, rows: Floats, outputs: Floats) -> Iterable[str]:
        """Return the class or bucket of each answer for the metrics."""

    async def __is_ready__(self) -> bool:
        """Tell whether the model answers its sample within the time limit. The check bypasses the batch queue."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                loop = asyncio.get_running_loop()
                outputs = await loop.run_in_executor(self._probe, self.served.model, self.sample)
        except TimeoutError:
            return False
        return bool(np.isfinite(outputs).all())

    @cached_property
    def _probe(self) -> ThreadPoolExecutor:
        """The thread of the readiness check, as large batches may occupy all shared threads."""
        return ThreadPoolExecutor(1, "readiness")


def model_name(service_class: type) -> str:
    """Return a model's name in the store, in routes and in metrics: `wine_quality` for `WineQuality`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", service_class.__name__).lower()
