"""The catalogue of our metrics, from which their page and the deprecated names are generated.

All processes of a service write into shared files, and the worker that answers `/metrics` sums them. A gauge can't be
summed: its `multiprocess_mode` selects the processes that count.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, NamedTuple

from marmita.internals.prometheus import Counter, Gauge, Histogram

Mode = Literal["mostrecent", "livemax", "livemin", "livesum"]

RUNNER, FRONT = "runner", "front"
"""The processes that write metrics. Colocated runners live in the front's workers."""


class Metric(NamedTuple):
    """The catalogue's entry of a metric."""

    name: str
    type: str
    about: str
    labels: tuple[str, ...]
    process: str
    renamed_from: str
    """The deprecated name under which the metric is also exported for one release. Empty: none."""


METRICS: list[Metric] = []


def define_counter(name: str, about: str, *labels: str, process: str, renamed_from: str = "") -> Counter:
    """Define a counter."""
    METRICS.append(Metric(name, "counter", about, labels, process, renamed_from))
    return Counter(name, about, labels)


def define_histogram(name: str, about: str, *labels: str, process: str, buckets: Sequence[float]) -> Histogram:
    """Define a histogram."""
    METRICS.append(Metric(name, "histogram", about, labels, process, ""))
    return Histogram(name, about, labels, buckets=buckets)


def define_gauge(
    name: str, about: str, *labels: str, process: str, mode: Mode = "mostrecent", renamed_from: str = ""
) -> Gauge:
    """Define a gauge. By default it has the latest value that any process set."""
    METRICS.append(Metric(name, "gauge", about, labels, process, renamed_from))
    return Gauge(name, about, labels, multiprocess_mode=mode)


def define_late_gauge(
    name: str, about: str, *, process: str, mode: Mode = "mostrecent", renamed_from: str = ""
) -> Callable[[], Gauge]:
    """Define a gauge without labels, and return a function that creates it at first use.

    A gauge that exists before its first value is known would be exported as 0.
    """
    METRICS.append(Metric(name, "gauge", about, (), process, renamed_from))
    return cache(lambda: Gauge(name, about, multiprocess_mode=mode))


def with_deprecated_names(text: str) -> str:
    """Add a copy of each renamed metric under its deprecated name to Prometheus's text of all metrics."""
    return text + "".join(_copy(text, metric) for metric in METRICS if metric.renamed_from)


def _copy(text: str, metric: Metric) -> str:
    found = re.findall(rf"^(# TYPE |){metric.name}([ {{].*)$", text, re.MULTILINE)
    lines = [f"{start}{metric.renamed_from}{rest}" for start, rest in found]
    help = f"# HELP {metric.renamed_from} Deprecated: use {metric.name}."
    return "".join(f"{line}\n" for line in [help, *lines]) if lines else ""
