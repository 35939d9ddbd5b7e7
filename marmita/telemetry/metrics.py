"""What Prometheus is told about the models. BentoML adds its own metrics about requests.

Under several workers each process writes its own share into BentoML's folder, and whichever worker answers
`/metrics` adds them up. A gauge can't be added up: there, the latest word counts.
"""

import asyncio
import math
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from marmita.internals.prometheus import Counter, Gauge, Histogram, observe_all

_SECONDS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 2_000, 5_000, 10_000)

_inference_seconds = Histogram(
    "marmita_inference_seconds", "Seconds that the compiled model took for one batch", ["model"], buckets=_SECONDS
)
_batch_rows = Histogram("marmita_batch_rows", "Rows that went through the model in one batch", ["model"], buckets=_ROWS)
_rows = Counter("marmita_rows_total", "Rows answered", ["model"])
_unusual = Counter("marmita_unusual_inputs_total", "Inputs outside the range seen in training", ["model", "feature"])
_predictions = Counter("marmita_predictions_total", "Predictions by class or bucket", ["model", "outcome"])
_rejected = Counter("marmita_refused_total", "Requests that the front rejected", ["status"])
_served = Gauge(
    "marmita_model_served", "1 for the version that is served", ["model", "version"], multiprocess_mode="mostrecent"
)
_route = Gauge(
    "marmita_model_route", "1 for each typed route of the model", ["model", "endpoint"], multiprocess_mode="mostrecent"
)
_champion_rejected = Gauge(
    "marmita_model_refused",
    "1 while the store has a champion that is not fit to be served",
    ["model"],
    multiprocess_mode="livemax",
)

_made = Gauge(
    "marmita_model_made_timestamp_seconds",
    "When the version that is served was trained",
    ["model", "version"],
    multiprocess_mode="mostrecent",
)

DELAY_S = 0.02
"""So long may a count wait until it is written. A worker that is killed loses those of this time."""


class _Pending:
    """What is to be counted, added up here and written a few times a second.

    To write one number into a file that all workers share takes as long as many other steps of a request.
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
        """Count each of the labels by its own counter."""
        tally = self._tallies.setdefault(counter_of, {})
        for label in labels:
            tally[label] = tally.get(label, 0) + 1
        self._schedule()

    def move(self, gauge: Gauge, by: int) -> None:
        self._levels[gauge] = self._levels.get(gauge, 0) + by
        self._schedule()

    def touch(self, gauge: Gauge) -> None:
        """Let a gauge of times show that something has happened now."""
        self._touched.add(gauge)
        self._schedule()

    def observe(self, histogram: Histogram, amount: float) -> None:
        """Observe an amount. Outside the event loop it is written at once: a thread has nothing to add it up in."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            histogram.observe(amount)
            return
        self._observed.setdefault(histogram, []).append(amount)
        self._schedule()

    def write(self) -> None:
        """Write all that waits."""
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


def forget_the_dead() -> None:
    """Take what killed workers had in progress out of the sums: it will never be finished."""
    for share in Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).glob("gauge_live*_*.db"):
        pid = share.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]


@cache
def _rejection(status: int) -> Counter:
    return _rejected.labels(status)


def rejected(status: int) -> None:
    """Count a request that got no further than the front."""
    pending.count(_rejection(status))


def serves(model: str, version: str, made: datetime, no_more: str | None = None) -> None:
    """Show the version that answers from now on, and when it was made. What is served no more has no age."""
    if no_more is not None:
        _served.labels(model, no_more).set(0)
        _made.labels(model, no_more).set(math.nan)
    _served.labels(model, version).set(1)
    _made.labels(model, version).set(made.timestamp())


def answers_at(model: str, endpoints: Iterable[str]) -> None:
    """Show which endpoints are the model's: their names don't tell it."""
    for endpoint in endpoints:
        _route.labels(model, endpoint).set(1)


def rejects_champion(model: str, yes: bool) -> None:
    """Show whether there is a champion that is not taken up."""
    _champion_rejected.labels(model).set(int(yes))


class ModelMetrics:
    """The metrics of one model."""

    def __init__(self, model: str) -> None:
        self._inference_seconds = _inference_seconds.labels(model)
        self._batch_rows = _batch_rows.labels(model)
        self._rows = _rows.labels(model)
        # To look a label up takes longer than to count: so each is looked up once.
        self._predictions = cache(lambda outcome: _predictions.labels(model, outcome))
        self._unusual = cache(lambda feature: _unusual.labels(model, feature))

    def ran(self, rows: int, seconds: float) -> None:
        pending.observe(self._inference_seconds, seconds)
        pending.observe(self._batch_rows, rows)

    def answered(self, rows: int, outcomes: Iterable[str], unusual: Sequence[str]) -> None:
        """Count one request's answers by outcome and its unusual inputs by feature."""
        pending.count(self._rows, rows)
        pending.count_each(self._predictions, outcomes)
        if unusual:
            pending.count_each(self._unusual, unusual)
