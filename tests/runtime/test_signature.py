"""What a model's tensors are called, how wide they are, and what they can hold."""

import numpy as np
import pytest

from marmita.contract.errors import ErrorCode, RequestError
from marmita.runtime.signature import Signature, ValueBounds
from tests.messages import mentions

MOST = float(np.finfo(np.float32).max)
PH, ALCOHOL, AGE = (
    {"name": "ph", "low": 0, "high": 14},
    {"name": "alcohol", "low": 0.1, "high": None},
    {"name": "age", "low": None, "high": 1e300},
)
BOUNDS = ValueBounds([PH, ALCOHOL, AGE])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "row", [(0, 0.1, -MOST), (14, MOST, MOST), (0, float(np.float32(0.1)), 0), (float(np.float32(3.3)), 1, 0)]
)
def test_values_at_their_bounds_are_within_in_either_precision(row: tuple[float, ...], dtype: type) -> None:
    BOUNDS.check(np.array([row], dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("row", "field", "why"),
    [
        ((14.1, 1, 0), "ph", (0, 14)),
        ((-0.1, 1, 0), "ph", (0, 14)),
        ((0, 0, 0), "alcohol", (0.1, "3.40282e+38")),
        ((0, 1, np.nan), "age", ("finite",)),
        ((0, np.inf, 0), "alcohol", ("finite",)),
        ((-np.inf, 0, 0), "ph", ("finite",)),
    ],
)
def test_the_first_value_beyond_is_named_by_row_and_field(
    row: tuple[float, ...], field: str, why: tuple[object, ...], dtype: type
) -> None:
    with pytest.raises(RequestError) as rejected:
        BOUNDS.check(np.array([(0, 1, 0), row], dtype))

    assert rejected.value.code == ErrorCode.INVALID_REQUEST
    assert mentions(rejected.value.error, 1, field, *why)


def test_a_value_that_single_precision_can_t_hold_is_beyond() -> None:
    with pytest.raises(RequestError) as rejected:
        BOUNDS.check(np.array([(0, 1, 1e39)], np.float64))

    assert rejected.value.code == ErrorCode.INVALID_REQUEST
    assert mentions(rejected.value.error, 0, "age", "-3.40282e+38", "3.40282e+38")


def test_outputs_lie_side_by_side_in_their_order() -> None:
    signature = Signature("trees", "v1", "features", 3, {"middle": 1, "ends": 2}, BOUNDS)

    assert signature.columns == {"middle": slice(0, 1), "ends": slice(1, 3)}
