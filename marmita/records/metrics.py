"""Metrics of the records: how the recording goes, quality and drift."""

import math
from collections.abc import Mapping
from datetime import datetime
from functools import cache

from marmita.internals.prometheus import Counter, Gauge
from marmita.records.quality.quality import Quality

_recorded = Counter("marmita_recorded_rows_total", "Predicted rows that were written into the database")
_dropped = Counter("marmita_records_dropped_total", "Predicted rows that could not be kept", ["reason"])
_queued = Gauge(
    "marmita_records_waiting", "Predicted rows that wait to be written into the database", multiprocess_mode="livesum"
)


def _latest(name: str, about: str, *labels: str) -> Gauge:
    """A gauge of which the latest word counts, whichever worker has said it."""
    return Gauge(name, about, labels, multiprocess_mode="mostrecent")


_measured_at = _latest("marmita_quality_measured_timestamp_seconds", "When quality was measured last", "model")
_window_rows = _latest("marmita_quality_rows", "Predicted rows that are kept of the window", "model")
_window_labelled = _latest("marmita_quality_labelled_rows", "Those of them whose truth is known, up to 20,000", "model")
_score = _latest(
    "marmita_quality_score", "A score on labelled rows, of all or of one class or day", "model", "score", "part"
)
_error_ratio = _latest(
    "marmita_quality_error_ratio", "The error on labelled rows as a multiple of the error on held-out rows", "model"
)
_window_seconds = _latest(
    "marmita_quality_inference_seconds", "Seconds that measured requests waited for the model", "model", "statistic"
)
_psi = _latest(
    "marmita_drift_psi",
    "Population stability index of a feature or a prediction, against training",
    "model",
    "kind",
    "feature",
)
_alarm = _latest("marmita_drift_alarm", "1 for a feature or a prediction that has drifted", "model", "kind", "feature")

_failures = _latest("marmita_retraining_failures", "Retrainings in a row that failed or were interrupted", "model")


@cache
def _reachable() -> Gauge:
    """Made when it is known: a gauge without labels is 0 from its beginning on, and the smallest of all counts."""
    return Gauge("marmita_database_reachable", "1 if the database took the last records", multiprocess_mode="livemin")


@cache
def _shepherd_seen() -> Gauge:
    """Made when there is a shepherd, for the same reason."""
    return _latest(
        "marmita_shepherd_seen_timestamp_seconds", "When a shepherd last decided about a model, be it to leave it"
    )


class RecordMetrics:
    """How the recording goes. Written at once: it is told by a thread, and not for each request."""

    def __init__(self) -> None:
        for reason in ("full", "refused", "ended"):  # what is there from the beginning can be seen to grow
            _dropped.labels(reason)

    def recorded(self, rows: int) -> None:
        _recorded.inc(rows)

    def dropped(self, rows: int, reason: str) -> None:
        _dropped.labels(reason).inc(rows)

    def queued(self, rows: int) -> None:
        _queued.set(rows)

    def reachable(self, yes: bool) -> None:
        _reachable().set(int(yes))


def show_quality(quality: Quality) -> None:
    """Show what was measured last. What could not be said this time is not a number."""
    model = quality.model
    _window_rows.labels(model).set(quality.rows)
    _window_labelled.labels(model).set(quality.labelled)
    for score, part, value in quality.scores:
        _score.labels(model, score, part).set(_number(value))
    _error_ratio.labels(model).set(_number(quality.error_ratio))
    _window_seconds.labels(model, "mean").set(_number(quality.inference_mean_s))
    _window_seconds.labels(model, "p95").set(_number(quality.inference_p95_s))
    for drift in quality.drift:
        _psi.labels(model, drift.kind, drift.feature).set(_number(drift.psi))
        _alarm.labels(model, drift.kind, drift.feature).set(int(drift.alarm))
    _measured_at.labels(model).set_to_current_time()


def show_shepherd(decided_at: datetime | None, failures: Mapping[str, int]) -> None:
    """Show when a shepherd last came to a decision, if ever one did, and how its retrainings go. Its lease says less:
    one that hangs renews it, and so does one of which every round fails.
    """
    if decided_at is not None:
        _shepherd_seen().set(decided_at.timestamp())
    for model, count in failures.items():
        _failures.labels(model).set(count)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
