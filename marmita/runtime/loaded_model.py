"""A loaded model: one version with its batcher, its metrics and its signature."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from marmita.contract.columns import columns_of
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.rows import Floats
from marmita.records.predictions.bundles import PredictionRequest, Subject
from marmita.records.predictions.recorder import Kept
from marmita.registry.packed_model import PackedModel
from marmita.registry.tables import is_table
from marmita.runtime.batching import Batcher, Batching
from marmita.runtime.recording import recorder
from marmita.runtime.signature import Signature, ValueBounds
from marmita.telemetry import logs
from marmita.telemetry.metrics import ModelMetrics


class Predicted(NamedTuple):
    """A model's outputs, the loaded model that returned them, and where they are recorded, if they are."""

    by: "LoadedModel"
    outputs: Floats
    kept: Kept | None = None

    def identify(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add to each answer the id for labelling its row, and return the answers."""
        if self.kept is not None:
            id, first = self.kept
            for row, answer in enumerate(answers, start=first):
                answer["id"] = f"{id}-{row}"
        return answers


class LoadedModel:
    """One version of a model with all that a request needs. Each request uses a single loaded model throughout."""

    def __init__(self, packed: PackedModel, batching: Batching) -> None:
        self.packed = packed
        self.name, self.version, self.tag = packed.name, packed.version, packed.tag
        self.reference = packed.reference
        self.metrics = ModelMetrics(packed.name)
        self.model = model = packed.compiled()
        self.run = Batcher(model, batching, self.metrics.ran)
        self._recorder = recorder()
        bounds = ValueBounds(packed.contract["features"])
        table = columns_of(packed.contract) if is_table(packed) else []
        self.signature = Signature(packed.name, packed.version, model.input, model.width, model.outputs, bounds, table)

    async def predict(self, rows: Floats, subjects: Sequence[Subject | None] = ()) -> Predicted:
        """Run the model on these rows, and record the prediction if recording is on."""
        start = perf_counter()
        outputs = await self.run(rows)
        _check_finite(outputs)
        if self._recorder is None:
            return Predicted(self, outputs)
        request = PredictionRequest(logs.request_id.get(), rows, outputs, perf_counter() - start, subjects)
        return Predicted(self, outputs, self._recorder.record(self.name, self.version, request))

    def unusual(self, rows: Floats) -> list[list[str]]:
        """Return the names of each row's features that lie outside the range seen in training."""
        none: list[str] = []  # shared: a list for each of thousands of rows takes longer than all the rest
        found = [none] * len(rows)
        low, high = self._ranges
        outside = (rows < low) | (rows > high)
        if self._takes_gaps:
            outside |= np.isnan(rows) & self._complete
        if not np.count_nonzero(outside):  # several times faster than any() for few rows
            return found
        for row, feature in np.argwhere(outside):
            found[row] = [*found[row], self._names[feature]]
        return found

    @cached_property
    def _takes_gaps(self) -> bool:
        return any(feature.get("gaps") for feature in self.packed.contract["features"])

    @cached_property
    def _complete(self) -> npt.NDArray[np.bool_]:
        """The mask of the features without a gap in training."""
        return np.array([not feature.get("missing") for feature in self.packed.contract["features"]])

    @cached_property
    def _names(self) -> list[str]:
        return [feature["name"] for feature in self.packed.contract["features"]]

    @cached_property
    def _ranges(self) -> tuple[Floats, Floats]:
        """Return the range of each feature in training. A feature without statistics is never unusual."""
        known: dict[str, Any] = self.reference["features"]
        anything = {"min": -np.inf, "max": np.inf}
        ranges = [known.get(name, anything) for name in self._names]
        low, high = ([one[end] for one in ranges] for end in ("min", "max"))
        return np.array(low, dtype=np.float32), np.array(high, dtype=np.float32)


def _check_finite(outputs: Floats) -> None:
    """Raise if an output is not finite, before the prediction is recorded, counted or returned."""
    if np.count_nonzero(np.isfinite(outputs)) != outputs.size:  # for few rows twice as fast as all()
        row = int(np.argwhere(~np.isfinite(outputs))[0][0])
        raise RequestError(ErrorCode.INVALID_REQUEST, f"the model has no answer to row {row}: are its values possible?")


def flatten(lists: Iterable[list[str]]) -> list[str]:
    """Return the items of all lists in one list."""
    return [item for items in lists for item in items]
