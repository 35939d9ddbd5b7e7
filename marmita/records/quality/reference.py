"""Reference statistics of one figure, the baseline for drift."""

from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 10


def describe(values: npt.ArrayLike) -> dict[str, Any]:
    """Return range, moments, and the shares of the rows between the deciles. Equal deciles share one edge."""
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
