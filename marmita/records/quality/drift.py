"""Drift: a change of a model's inputs or predictions since its training.

The reference statistics of a model have the deciles of each feature, the shares of the rows between them, and the
number of rows. The shares of new rows between the same deciles are compared with them in two ways:

- The population stability index (PSI) is the size of a change. It is never 0: by chance alone it is about
  (bins - 1) · (1/n + 1/m) for n new rows and m rows of the reference. The excess over that is the change.
- A two-sample Kolmogorov-Smirnov test at the deciles gives its significance.

An alarm needs both: a large change, and one that is significant for the number of features that are watched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from marmita.records.quality.evaluators import INDEPENDENT, Dependence, Doubles, Evaluator, Floats

FEWEST_ROWS = 50
"""The minimum number of rows to detect a change of ordinary size."""
LARGE = 0.2
"""The excess of PSI over its expected value that raises an alarm."""
RARE = 0.01
"""The rate of false alarms for stable inputs, over all watched features together."""

_ROUNDING = 1e-6
"""The relative difference between an ONNX model's single-precision numbers and those of the reference."""
_TERMS = 100


@dataclass(frozen=True)
class Drift:
    """The drift of one feature or one kind of prediction from its reference. None if there are too few rows."""

    kind: str
    """`input` or `prediction`."""
    feature: str
    rows: int
    psi: float | None = None
    expected_psi: float | None = None
    """The PSI by chance alone."""
    statistic: float | None = None
    p: float | None = None
    alarm: bool = False


@dataclass(frozen=True)
class Change:
    """The distance of values from a reference, and its significance."""

    psi: float
    expected_psi: float
    statistic: float
    p: float


def watch(evaluator: Evaluator, reference: Mapping[str, Any], rows: Floats, outputs: Floats) -> list[Drift]:
    """Return the drift of each figure in the reference, measured on independent rows."""
    places = evaluator.independent(rows)
    rows, outputs = rows[places], outputs[places]
    watched = [
        (kind, name, described, values.get(name, np.empty(0)))
        for kind, part, values in (
            ("input", "features", evaluator.inputs(rows)),
            ("prediction", "predictions", evaluator.predictions(rows, outputs)),
        )
        for name, described in reference[part].items()
    ]
    rare = RARE / max(len(watched), 1)
    return [
        _drift(kind, name, values, described, evaluator.dependence(name), rare)
        for kind, name, described, values in watched
    ]


def compare(values: Doubles, described: Mapping[str, Any], dependence: Dependence = INDEPENDENT) -> Change:
    """Compare values with the reference statistics that `reference.describe` returns."""
    edges, shares = np.asarray(described["edges"]), np.asarray(described["shares"])
    room = edges + _ROUNDING * np.abs(edges)
    counts = np.bincount(np.searchsorted(room, values, side="left"), minlength=len(shares))
    n, m = dependence.worth(len(values), described["rows"])
    now, then = _smooth(counts, len(values)), _smooth(shares * m, m)
    statistic = float(np.abs(np.cumsum(counts / len(values)) - np.cumsum(shares)).max())
    return Change(
        psi=float(((now - then) * np.log(now / then)).sum()),
        expected_psi=(len(shares) - 1) * (1 / n + 1 / m),
        statistic=statistic,
        p=chance(statistic, n, m),
    )


def chance(statistic: float, n: float, m: float) -> float:
    """Return the p-value of a two-sample Kolmogorov-Smirnov statistic, with Stephens's correction for small samples.

    It is an upper limit: the test looks at the deciles only, and values repeat.
    """
    size = sqrt(n * m / (n + m))
    distance = (size + 0.12 + 0.11 / size) * statistic
    if distance < 0.2:  # the series converges slowly where the answer is 1 to many digits
        return 1.0
    terms = (2 * (-1.0) ** (k - 1) * exp(-2 * k * k * distance * distance) for k in range(1, _TERMS))
    return min(max(sum(terms), 0.0), 1.0)


def _drift(
    kind: str, name: str, values: Doubles, described: Mapping[str, Any], dependence: Dependence, rare: float
) -> Drift:
    if len(values) < FEWEST_ROWS:
        return Drift(kind, name, len(values))
    change = compare(values, described, dependence)
    alarm = change.psi > change.expected_psi + LARGE and change.p < rare
    return Drift(kind, name, len(values), change.psi, change.expected_psi, change.statistic, change.p, alarm)


def _smooth(counts: npt.NDArray[Any], total: float) -> Doubles:
    """Return shares with half a row added to each bin, as the PSI of an empty bin is infinite."""
    smoothed: Doubles = (counts + 0.5) / (total + 0.5 * len(counts))
    return smoothed
