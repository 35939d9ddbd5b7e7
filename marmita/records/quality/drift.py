"""Drift: whether what a model is asked, or what it says, still looks as it did in training.

The reference statistics of a model have the deciles of each feature, the shares of the rows between them, and how many
rows there were. So many new rows as lie between the same deciles are held against that, in two ways:

- The population stability index (PSI) says how large a change is. It is never 0: by chance alone it is about
  (bins - 1) · (1/n + 1/m) for n new rows and m rows of the reference. What it has above that is the change.
- A two-sample Kolmogorov-Smirnov test at the deciles says how surely there is one.

An alarm needs both: a change that matters, and that is hardly chance, however many features are watched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from marmita.records.quality.evaluators import INDEPENDENT, Dependence, Doubles, Evaluator, Floats

FEWEST_ROWS = 50
"""Fewer rows say nothing about a change of an ordinary size."""
LARGE = 0.2
"""How far PSI must lie above what chance gives."""
RARE = 0.01
"""How often a stable stream may seem to have changed, over all features that are watched."""

_LAST_DIGITS = 1e-6
"""A compiled model's single-precision numbers differ from those of the reference by so much, relatively."""
_TERMS = 100


@dataclass(frozen=True)
class Drift:
    """How far one feature, or one kind of prediction, is from its reference. None where there are too few rows."""

    kind: str
    """`input` or `prediction`."""
    feature: str
    rows: int
    psi: float | None = None
    expected_psi: float | None = None
    """What chance alone would give."""
    statistic: float | None = None
    p: float | None = None
    alarm: bool = False


@dataclass(frozen=True)
class Change:
    """How far values are from a reference, and whether that may be chance."""

    psi: float
    expected_psi: float
    statistic: float
    p: float


def watch(evaluator: Evaluator, reference: Mapping[str, Any], rows: Floats, outputs: Floats) -> list[Drift]:
    """The drift of everything that the reference has. Rows that tell nothing new are left out."""
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
    """Hold values against the statistics of their reference, as `marmita.training.reference` makes them."""
    edges, shares = np.asarray(described["edges"]), np.asarray(described["shares"])
    room = edges + _LAST_DIGITS * np.abs(edges)
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
    """How often two samples of one distribution are so far apart, or farther: Kolmogorov's distribution, with
    Stephens's correction for samples that are not large.

    At ten deciles and for values that repeat, samples seem closer than they are: the true chance is smaller.
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
    """Shares with half a row more in each bin: an empty one would be infinitely surprising."""
    smoothed: Doubles = (counts + 0.5) / (total + 0.5 * len(counts))
    return smoothed
