"""Prometheus's client, with a cached process id.

The client calls `getpid` for each value that it writes, in case the process was forked. These calls took a twentieth
of a tensor request. All metrics are created with the classes of this module, so that each of them uses the cache.
"""

import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import Counter as Counter
from prometheus_client import Gauge as Gauge
from prometheus_client import Histogram as Histogram
from prometheus_client import values


class _Process:
    """A cache of the process id, refreshed after a fork."""

    def __init__(self) -> None:
        self._refresh()
        os.register_at_fork(after_in_child=self._refresh)

    def id(self) -> int:
        return self._id

    def _refresh(self) -> None:
        self._id = os.getpid()


if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    values.ValueClass = values.MultiProcessValue(_Process().id)  # type: ignore[no-untyped-call]


def observe_all(histogram: Histogram, amounts: Sequence[float]) -> None:
    """Observe several amounts, but write each value of the histogram only once."""
    histogram._sum.inc(sum(amounts))
    bounds = histogram._upper_bounds
    for bucket, count in Tally(bisect_left(bounds, amount) for amount in amounts).items():
        histogram._buckets[bucket].inc(count)
