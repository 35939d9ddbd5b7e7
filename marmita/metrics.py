"""What Prometheus is told about the models. BentoML adds its own metrics about requests.

Under several workers each process writes its own share into BentoML's folder, and whichever worker answers
`/metrics` adds them up. A gauge can't be added up: there, the latest word counts.
"""

import os
from collections import Counter as Tally
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.multiprocess import mark_process_dead

_SECONDS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 2_000, 5_000, 10_000)

_inference_seconds = Histogram(
    "marmita_inference_seconds", "Seconds that the compiled model took for one batch", ["model"], buckets=_SECONDS
)
_batch_rows = Histogram("marmita_batch_rows", "Rows that went through the model in one batch", ["model"], buckets=_ROWS)
_rows = Counter("marmita_rows_total", "Rows answered", ["model"])
_unusual = Counter("marmita_unusual_inputs_total", "Inputs outside the range seen in training", ["model", "feature"])
_predictions = Counter("marmita_predictions_total", "Predictions by class or bucket", ["model", "outcome"])
_refused = Counter("marmita_refused_total", "Requests that the front refused before BentoML saw them", ["status"])
_served = Gauge(
    "marmita_model_served", "1 for the version that is served", ["model", "version"], multiprocess_mode="mostrecent"
)


def forget_the_dead() -> None:
    """Take what killed workers had in progress out of the sums: it will never be finished."""
    for share in Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).glob("gauge_live*_*.db"):
        pid = share.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]


def refused(status: int) -> None:
    """Count a request that got no further than the front."""
    _refused.labels(status).inc()


class ModelMetrics:
    """The metrics of one model."""

    def __init__(self, model: str, version: str) -> None:
        self._model = model
        self._inference_seconds = _inference_seconds.labels(model)
        self._batch_rows = _batch_rows.labels(model)
        self._rows = _rows.labels(model)
        _served.labels(model, version).set(1)

    def ran(self, rows: int, seconds: float) -> None:
        self._inference_seconds.observe(seconds)
        self._batch_rows.observe(rows)

    def answered(self, outcomes: Iterable[str], unusual: Iterable[str]) -> None:
        """Count one request's answers by outcome and its unusual inputs by feature."""
        tally = Tally(outcomes)
        self._rows.inc(tally.total())
        for outcome, count in tally.items():
            _predictions.labels(self._model, outcome).inc(count)
        for feature, count in Tally(unusual).items():
            _unusual.labels(self._model, feature).inc(count)
