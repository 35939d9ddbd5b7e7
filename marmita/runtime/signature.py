"""What a model's tensors are called, how wide they are, and what they can hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from marmita.contract.errors import ErrorCode, RequestError

DATATYPE = "FP32"
TYPES: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class ValueBounds:
    """What the values of a row can be at all: numbers in single precision, within the bounds of their features."""

    def __init__(self, features: Sequence[Mapping[str, Any]]) -> None:
        any_ = np.finfo(np.float32)
        low, high = (np.array([one[end] for one in features], np.float64) for end in ("low", "high"))
        low, high = np.fmax(low, any_.min), np.fmin(high, any_.max)
        single = low.astype(np.float32), high.astype(np.float32)
        self._names = [one["name"] for one in features]
        # Whoever has a bound in single precision may send it in double precision, too.
        self._of: dict[Any, tuple[Numbers, Numbers]] = {
            TYPES["FP32"]: single,
            TYPES["FP64"]: (np.fmin(low, single[0]), np.fmax(high, single[1])),
        }

    def check(self, rows: Numbers) -> None:
        """Refuse rows of which one is beyond. No comparison holds for what is no number."""
        low, high = self._of[rows.dtype]
        within = (rows >= low) & (rows <= high)
        if np.count_nonzero(within) == within.size:
            return
        row, column = np.argwhere(~within)[0].tolist()
        where = f"row {row}, {self._names[column]}"
        if not np.isfinite(rows[row, column]):
            raise _wrong(f"{where}: the value is no finite number")
        raise _wrong(f"{where}: the value must be from {low[column]:g} to {high[column]:g}")


@dataclass(frozen=True)
class Signature:
    """What a model's tensors are called, how wide they are, and what they can hold."""

    model: str
    version: str
    input: str
    width: int
    outputs: Mapping[str, int]
    """Columns of each output, in the order in which they lie side by side."""
    bounds: ValueBounds

    @cached_property
    def columns(self) -> Mapping[str, slice]:
        """Where each output lies."""
        starts = [0, *accumulate(self.outputs.values())]
        return {name: slice(*ends) for name, ends in zip(self.outputs, pairwise(starts), strict=True)}

    def describe(self) -> dict[str, Any]:
        """The protocol's metadata of a model."""
        return {
            "name": self.model,
            "versions": [self.version],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": self.input, "datatype": DATATYPE, "shape": [-1, self.width]}],
            "outputs": [{"name": n, "datatype": DATATYPE, "shape": [-1, width]} for n, width in self.outputs.items()],
        }


def _wrong(error: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, error)
