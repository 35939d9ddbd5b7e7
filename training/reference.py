"""Reference statistics: what a model's inputs and predictions looked like when it was trained.

The service tells unusual inputs by them, and drift is measured against them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 10


def reference(
    features: Mapping[str, npt.ArrayLike], predictions: Mapping[str, npt.ArrayLike], **more: Any
) -> dict[str, Any]:
    """The statistics of each feature and of each kind of prediction, and whatever else serving must know."""
    return {
        "features": {name: describe(values) for name, values in features.items()},
        "predictions": {name: describe(values) for name, values in predictions.items()},
        **more,
    }


def describe(values: npt.ArrayLike) -> dict[str, Any]:
    """Range, moments, and the shares of the rows between the deciles. Equal deciles are one edge."""
    array = np.asarray(values, dtype=np.float64)
    edges = np.unique(np.quantile(array, np.arange(1, BINS) / BINS))
    counts = np.bincount(np.searchsorted(edges, array, side="left"), minlength=len(edges) + 1)
    return {
        "min": float(array.min()),
        "max": float(array.max()),
        "mean": float(array.mean()),
        "std": float(array.std()),
        "edges": edges.tolist(),
        "shares": (counts / len(array)).tolist(),
        "rows": len(array),
    }
