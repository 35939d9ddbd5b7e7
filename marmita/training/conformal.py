"""Conformal intervals: the offsets from a value to the ends of its interval, learnt from out-of-fold residuals."""

from dataclasses import asdict, dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from marmita.training.examples import Doubles

COVERAGE = 0.90


@dataclass(frozen=True)
class ConformalInterval:
    """The offsets from a value to the ends of its interval."""

    low: float
    high: float

    def coverage(self, residuals: Doubles) -> float:
        return float(np.mean((residuals >= self.low) & (residuals <= self.high)))

    def around(self, values: Doubles) -> Doubles:
        """Return columns of the values, the low ends and the high ends."""
        return np.column_stack([values, values + self.low, values + self.high])

    def add_to(self, graph: onnx.GraphProto, value: str) -> None:
        """Add the outputs `low` and `high` to a graph with this output of values."""
        for name, offset in asdict(self).items():
            constant = np.array([offset], dtype=np.float32)
            graph.initializer.append(numpy_helper.from_array(constant, f"{name}_offset"))
            graph.node.append(helper.make_node("Add", [value, f"{name}_offset"], [name], name=name))
            graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]))


def conformal(residuals: Doubles) -> ConformalInterval:
    """Return the interval by split conformal prediction, with half of the allowed misses on either side."""
    ordered = np.sort(residuals)
    spare = int((len(ordered) + 1) * (1 - COVERAGE) / 2)
    if spare < 1:
        raise ValueError(f"{len(ordered)} residuals are too few for an interval of {COVERAGE:.0%}")
    return ConformalInterval(low=float(ordered[spare - 1]), high=float(ordered[-spare]))
