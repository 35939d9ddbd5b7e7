"""A table model: one packed version of a model without code, with everything that a request needs."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from marmita.contract.columns import Column, columns_of, encoder
from marmita.contract.rows import Floats, RowsReader
from marmita.contract.tables import ROWS, request_class, row_class
from marmita.records.quality.evaluators import Evaluator, table_evaluator
from marmita.registry.fitness import NotServableError
from marmita.registry.packed_model import PackedModel
from marmita.runtime.batching import Batching
from marmita.runtime.loaded_model import LoadedModel, Predicted, flatten

SERVICE = "Tables"
"""The name under `services` in `configuration.yaml` of the batching of table models."""

_PROBABILITY_DIGITS = 6
_SIGNIFICANT = 7
"""The significant digits of single precision."""


class TableModel(ABC):
    """A loaded version of a table model."""

    def __init__(self, packed: PackedModel, batching: Batching) -> None:
        self.packed = packed
        self.columns: Sequence[Column] = columns_of(packed.contract)
        self.encode = encoder(self.columns)
        self.evaluator = table_evaluator(packed.name, packed.contract)
        self.served = LoadedModel(packed, batching)
        self._readers: dict[bool, RowsReader] = {}
        sample = self.encode([[column.example] for column in self.columns])
        _check_answers(self.served.run.warm_up(sample), self.evaluator, packed.tag)

    @classmethod
    def load(cls, packed: PackedModel) -> "TableModel":
        """Load a version. Raise an error if it can't be served."""
        packed.check()
        made = ClassModel if "classes" in packed.contract else ValueModel
        return made(packed, Batching.of(SERVICE))

    def read(self, body: bytes, *, extra: bool = False) -> Floats:
        """Return the rows of a request in JSON. With `extra`, rows may have more columns."""
        if extra not in self._readers:
            self._readers[extra] = self._make_reader(extra)
        return self._readers[extra](body)

    async def predict(self, rows: Floats) -> Predicted:
        """Run the model on these rows, and count the answers in the metrics."""
        predicted = await self.served.predict(rows)
        self._count(rows, predicted)
        return predicted

    async def answer(self, rows: Floats) -> list[dict[str, Any]]:
        """Answer each row, and name its columns with a value that the training had not seen."""
        predicted = await self.served.predict(rows)
        unusual = self._count(rows, predicted)
        return predicted.identify(self._answers(predicted, unusual))

    @property
    @abstractmethod
    def answer_columns(self) -> Sequence[str]:
        """The names of the prediction's columns in a CSV."""

    @abstractmethod
    def answer_cells(self, answer: dict[str, Any]) -> Sequence[object]:
        """Return the cells of an answer in a CSV."""

    @abstractmethod
    def _answers(self, predicted: Predicted, unusual: Sequence[list[str]]) -> list[dict[str, Any]]:
        """Return the answer to each row."""

    @abstractmethod
    def _outcomes(self, outputs: Floats) -> list[str]:
        """Return the class or the bucket of each answer for the metrics."""

    def _count(self, rows: Floats, predicted: Predicted) -> list[list[str]]:
        unusual = self.served.unusual(rows)
        self.served.metrics.answered(len(rows), self._outcomes(predicted.outputs), flatten(unusual))
        return unusual

    def _make_reader(self, extra: bool) -> RowsReader:
        row = row_class(self.packed.name, self.columns, extra=extra)
        return RowsReader(row, request_class(row, self.columns), ROWS, self.columns, extra=extra)


class ClassModel(TableModel):
    """A table model that gives the probability of each class."""

    @cached_property
    def classes(self) -> list[str]:
        return list(self.packed.contract["classes"])

    @property
    def answer_columns(self) -> Sequence[str]:
        return ["class", *(f"probability {name}" for name in self.classes)]

    def answer_cells(self, answer: dict[str, Any]) -> Sequence[object]:
        return [answer["class"], *answer["probabilities"].values()]

    def _answers(self, predicted: Predicted, unusual: Sequence[list[str]]) -> list[dict[str, Any]]:
        classes, model = self.classes, self.packed.tag
        probabilities = np.round(predicted.outputs.astype(float), _PROBABILITY_DIGITS).tolist()
        codes = predicted.outputs.argmax(axis=1).tolist()
        return [
            {
                "class": classes[code],
                "code": code,
                "probabilities": dict(zip(classes, each, strict=True)),
                "unusual": names,
                "model": model,
            }
            for code, each, names in zip(codes, probabilities, unusual, strict=True)
        ]

    def _outcomes(self, outputs: Floats) -> list[str]:
        return [self.classes[code] for code in outputs.argmax(axis=1).tolist()]


class ValueModel(TableModel):
    """A table model that gives a number with the two ends of its interval."""

    @property
    def answer_columns(self) -> Sequence[str]:
        return ["value", "low", "high"]

    def answer_cells(self, answer: dict[str, Any]) -> Sequence[object]:
        return [answer["value"], answer["interval"]["low"], answer["interval"]["high"]]

    def _answers(self, predicted: Predicted, unusual: Sequence[list[str]]) -> list[dict[str, Any]]:
        values = np.round(predicted.outputs.astype(float), self._decimals).tolist()
        coverage, model = self.served.reference["coverage"], self.packed.tag
        return [
            {
                "value": value,
                "interval": {"low": low, "high": high, "coverage": coverage},
                "unusual": names,
                "model": model,
            }
            for (value, low, high), names in zip(values, unusual, strict=True)
        ]

    def _outcomes(self, outputs: Floats) -> list[str]:
        places = np.searchsorted(self._edges, outputs[:, 0], side="left").tolist()
        return [self._buckets[place] for place in places]

    @cached_property
    def _decimals(self) -> int:
        """The decimals of the predictions' size in training that single precision has."""
        seen = self.served.reference["predictions"]["value"]
        largest = max(abs(seen["min"]), abs(seen["max"]))
        return _SIGNIFICANT - 1 - math.floor(math.log10(largest)) if largest else _SIGNIFICANT

    @cached_property
    def _edges(self) -> Floats:
        """The deciles of the predictions in training. Rounded values would be labels without a bound."""
        return np.array(self.served.reference["predictions"]["value"]["edges"], np.float32)

    @cached_property
    def _buckets(self) -> list[str]:
        edges = [f"{edge:.4g}" for edge in self._edges.tolist()]
        return [*(f"up to {edge}" for edge in edges), f"above {edges[-1]}" if edges else "all"]


def _check_answers(answers: Floats, evaluator: Evaluator, tag: str) -> None:
    if answers.shape != (1, evaluator.outputs) or not np.isfinite(answers).all():
        raise NotServableError(f"{tag} does not answer its sample")
