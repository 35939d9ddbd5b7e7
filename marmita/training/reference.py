"""Reference statistics: the distributions of a model's inputs and predictions in training.

The service compares inputs with them to mark unusual ones, and to measure drift.
"""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from marmita.records.quality.reference import describe


def reference(
    features: Mapping[str, npt.ArrayLike], predictions: Mapping[str, npt.ArrayLike], **more: Any
) -> dict[str, Any]:
    """Return the statistics of each feature and prediction, and whatever else serving needs."""
    return {
        "features": {name: describe(values) for name, values in features.items()},
        "predictions": {name: describe(values) for name, values in predictions.items()},
        **more,
    }
