"""Metrics of the models and of rejected requests. BentoML adds its own metrics about requests."""

import asyncio
import math
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from marmita.internals.prometheus import Counter, Gauge, Histogram, observe_all
from marmita.telemetry.catalogue import FRONT, RUNNER, define_counter, define_gauge, define_histogram

_SECONDS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 2_000, 5_000, 10_000)

_inference_seconds = define_histogram(
    "marmita_inference_seconds",
    "Seconds that the ONNX model took for one batch",
    "model",
    process=RUNNER,
    buckets=_SECONDS,
)
_batch_rows = define_histogram(
    "marmita_batch_rows", "Rows that went through the model in one batch", "model", process=RUNNER, buckets=_ROWS
)
_rows = define_counter("marmita_rows_total", "Rows answered", "model", process=RUNNER)
_predictions = define_counter(
    "marmita_predictions_total",
    "Predictions by outcome: a class, a rounded score, or fall, flat and rise",
    "model",
    "outcome",
    process=RUNNER,
)
_unusual = define_counter(
    "marmita_unusual_inputs_total", "Inputs outside the range seen in training", "model", "feature", process=RUNNER
)
_rejected = define_counter(
    "marmita_rejected_requests_total",
    "Requests that were rejected before they reached a route, such as 404, 408, 413, 415 and 429",
    "status",
    process=FRONT,
    renamed_from="marmita_refused_total",
)
_served = define_gauge(
    "marmita_model_served",
    "1 for the version that is served, 0 for those that were served before",
    "model",
    "version",
    process=RUNNER,
)
_route = define_gauge("marmita_model_route", "1 for each typed route of the model", "model", "endpoint", process=RUNNER)
_champion_rejected = define_gauge(
    "marmita_champion_rejected",
    "1 while the store has a champion that is not fit to be served",
    "model",
    process=RUNNER,
    mode="livemax",
    renamed_from="marmita_model_refused",
)
_trained = define_gauge(
    "marmita_model_trained_timestamp_seconds",
    "Unix time at which the served version was trained",
    "model",
    "version",
    process=RUNNER,
    renamed_from="marmita_model_made_timestamp_seconds",
)

DELAY_S = 0.02
"""The longest delay before an update is written. A worker that is killed loses the updates of this time."""


class _Pending:
    """A buffer of metric updates, which it aggregates and writes every `DELAY_S`.

    Writing one value into a shared file takes as long as many other steps of a request.
    """

    def __init__(self) -> None:
        self._counts: dict[Counter, float] = {}
        self._tallies: dict[Callable[[str], Counter], dict[str, int]] = {}
        self._levels: dict[Gauge, int] = {}
        self._observed: dict[Histogram, list[float]] = {}
        self._touched: set[Gauge] = set()
        self._due = False

    def count(self, counter: Counter, amount: float = 1) -> None:
        self._counts[counter] = self._counts.get(counter, 0) + amount
        self._schedule()

    def count_each(self, counter_of: Callable[[str], Counter], labels: Iterable[str]) -> None:
        """Count each of the labels with its own counter."""
        tally = self._tallies.setdefault(counter_of, {})
        for label in labels:
            tally[label] = tally.get(label, 0) + 1
        self._schedule()

    def move(self, gauge: Gauge, by: int) -> None:
        self._levels[gauge] = self._levels.get(gauge, 0) + by
        self._schedule()

    def touch(self, gauge: Gauge) -> None:
        """Set a gauge to the current time at the next write."""
        self._touched.add(gauge)
        self._schedule()

    def observe(self, histogram: Histogram, amount: float) -> None:
        """Observe an amount. Outside the event loop, write it immediately, as the buffer is not thread-safe."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            histogram.observe(amount)
            return
        self._observed.setdefault(histogram, []).append(amount)
        self._schedule()

    def write(self) -> None:
        """Write all buffered updates."""
        self._due = False
        observed, self._observed = self._observed, {}
        for histogram, amounts in observed.items():
            observe_all(histogram, amounts)
        counts, self._counts = self._counts, {}
        for counter, amount in counts.items():
            counter.inc(amount)
        tallies, self._tallies = self._tallies, {}
        for counter_of, tally in tallies.items():
            for label, count in tally.items():
                counter_of(label).inc(count)
        for gauge, level in self._levels.items():
            gauge.set(level)
        touched, self._touched = self._touched, set()
        for gauge in touched:
            gauge.set_to_current_time()

    def _schedule(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(DELAY_S, self.write)


pending = _Pending()
write = pending.write


def clear_dead_workers() -> None:
    """Remove killed workers' live gauges from the sums, such as their requests in progress."""
    for file in Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]


@cache
def _rejection(status: int) -> Counter:
    return _rejected.labels(status)


def rejected(status: int) -> None:
    """Count a request that the front rejected."""
    pending.count(_rejection(status))


def serves(model: str, version: str, trained: datetime, no_more: str | None = None) -> None:
    """Set the served version of a model and the time of its training. `no_more` is the version that it replaces."""
    if no_more is not None:
        serves_no_more(model, no_more)
    _served.labels(model, version).set(1)
    _trained.labels(model, version).set(trained.timestamp())


def serves_no_more(model: str, version: str) -> None:
    """Set that a version was removed, and that no other one replaces it."""
    _served.labels(model, version).set(0)
    _trained.labels(model, version).set(math.nan)


def answers_at(model: str, endpoints: Iterable[str]) -> None:
    """Map a model's endpoints to its name, as the paths need not contain it."""
    for endpoint in endpoints:
        _route.labels(model, endpoint).set(1)


def rejects_champion(model: str, yes: bool) -> None:
    """Set whether the store has a champion that is not fit to be served."""
    _champion_rejected.labels(model).set(int(yes))


class ModelMetrics:
    """The metrics of one model."""

    def __init__(self, model: str) -> None:
        self._inference_seconds = _inference_seconds.labels(model)
        self._batch_rows = _batch_rows.labels(model)
        self._rows = _rows.labels(model)
        # Looking up a label takes longer than counting, so each lookup is cached.
        self._predictions = cache(lambda outcome: _predictions.labels(model, outcome))
        self._unusual = cache(lambda feature: _unusual.labels(model, feature))

    def ran(self, rows: int, seconds: float) -> None:
        pending.observe(self._inference_seconds, seconds)
        pending.observe(self._batch_rows, rows)

    def answered(self, rows: int, outcomes: Iterable[str], unusual: Sequence[str]) -> None:
        """Count the answers of one request by outcome, and its unusual inputs by feature."""
        pending.count(self._rows, rows)
        pending.count_each(self._predictions, outcomes)
        if unusual:
            pending.count_each(self._unusual, unusual)
