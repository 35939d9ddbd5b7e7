"""Reference statistics: what a model's inputs and predictions looked like when it was trained.

The service tells unusual inputs by them, and drift is measured against them.
"""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from marmita.records.quality.reference import describe


def reference(
    features: Mapping[str, npt.ArrayLike], predictions: Mapping[str, npt.ArrayLike], **more: Any
) -> dict[str, Any]:
    """The statistics of each feature and of each kind of prediction, and whatever else serving must know."""
    return {
        "features": {name: describe(values) for name, values in features.items()},
        "predictions": {name: describe(values) for name, values in predictions.items()},
        **more,
    }
