"""A model's signature: the names, widths and value bounds of its tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from marmita.contract.columns import Column, Kind
from marmita.contract.errors import ErrorCode, RequestError

DATATYPE = "FP32"
TYPES: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class ValueBounds:
    """The bounds of a row's values: those of the features, within single precision."""

    def __init__(self, features: Sequence[Mapping[str, Any]]) -> None:
        single_precision = np.finfo(np.float32)
        low, high = (np.array([one[end] for one in features], np.float64) for end in ("low", "high"))
        low, high = np.fmax(low, single_precision.min), np.fmin(high, single_precision.max)
        single = low.astype(np.float32), high.astype(np.float32)
        self._names = [one["name"] for one in features]
        gaps = [bool(one.get("gaps")) for one in features]
        self._gaps = np.array(gaps) if any(gaps) else None
        # A client may send a bound that it rounded to single precision as a double.
        self._bounds: dict[Any, tuple[Numbers, Numbers]] = {
            TYPES["FP32"]: single,
            TYPES["FP64"]: (np.fmin(low, single[0]), np.fmax(high, single[1])),
        }

    def check(self, rows: Numbers) -> None:
        """Raise for the first value that is out of bounds or not finite. Comparisons with NaN are false."""
        low, high = self._bounds[rows.dtype]
        within = (rows >= low) & (rows <= high)
        if self._gaps is not None:
            within |= np.isnan(rows) & self._gaps
        if np.count_nonzero(within) == within.size:
            return
        row, column = np.argwhere(~within)[0].tolist()
        where = f"row {row}, {self._names[column]}"
        if not np.isfinite(rows[row, column]):
            raise _invalid(f"{where}: the value is no finite number")
        raise _invalid(f"{where}: the value must be from {low[column]:g} to {high[column]:g}")


@dataclass(frozen=True)
class Signature:
    """The names and widths of a model's tensors, with the bounds of its input."""

    model: str
    version: str
    input: str
    width: int
    outputs: Mapping[str, int]
    """The number of columns of each output, in their order."""
    bounds: ValueBounds
    table: Sequence[Column] = ()
    """The columns of a table model, which may also be tensors of their own."""

    @cached_property
    def has_words(self) -> bool:
        """Whether a column has words, so that its rows can't be one tensor of numbers."""
        return any(column.kind is Kind.CATEGORY for column in self.table)

    @cached_property
    def columns(self) -> Mapping[str, slice]:
        """The columns of each output."""
        starts = [0, *accumulate(self.outputs.values())]
        return {name: slice(*ends) for name, ends in zip(self.outputs, pairwise(starts), strict=True)}


def _invalid(error: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, error)
