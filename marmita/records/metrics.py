"""Metrics of recording, model quality, drift and retraining."""

import math
from collections.abc import Mapping
from datetime import datetime

from marmita.records.quality.quality import Quality
from marmita.telemetry.catalogue import FRONT, RUNNER, define_counter, define_gauge, define_late_gauge

_recorded = define_counter(
    "marmita_recorded_rows_total", "Predicted rows that were written into the database", process=RUNNER
)
_dropped = define_counter(
    "marmita_records_dropped_total",
    "Predicted rows that could not be recorded: the buffer was full, the database refused them, or the process ended",
    "reason",
    process=RUNNER,
)
_queue_depth = define_gauge(
    "marmita_records_queue_depth",
    "Predicted rows in memory that are still to be written into the database",
    process=RUNNER,
    mode="livesum",
    renamed_from="marmita_records_waiting",
)
_reachable = define_late_gauge(
    "marmita_database_reachable", "1 if the database took the last records, 0 if not", process=RUNNER, mode="livemin"
)

_measured_at = define_gauge(
    "marmita_quality_measured_timestamp_seconds", "Unix time of the last quality measurement", "model", process=FRONT
)
_window_rows = define_gauge("marmita_quality_rows", "Recorded rows in the window", "model", process=FRONT)
_window_labelled = define_gauge(
    "marmita_quality_labelled_rows",
    "Recorded rows in the window that are labelled, up to 20,000",
    "model",
    process=FRONT,
)
_score = define_gauge(
    "marmita_quality_score",
    "A score on labelled rows (accuracy, precision, recall, mae, mae_percent, mse or coverage) of all rows, a class or"
    " a day",
    "model",
    "score",
    "part",
    process=FRONT,
)
_error_ratio = define_gauge(
    "marmita_quality_error_ratio",
    "The error on labelled rows as a multiple of the error on held-out rows",
    "model",
    process=FRONT,
)
_window_seconds = define_gauge(
    "marmita_quality_inference_seconds",
    "Mean and p95 of the seconds that recorded requests waited for the model",
    "model",
    "statistic",
    process=FRONT,
)
_psi = define_gauge(
    "marmita_drift_psi",
    "Population stability index of a feature or a prediction, against training",
    "model",
    "kind",
    "feature",
    process=FRONT,
)
_alarm = define_gauge(
    "marmita_drift_alarm",
    "1 for a feature or a prediction that has drifted, 0 for the others",
    "model",
    "kind",
    "feature",
    process=FRONT,
)

_failures = define_gauge(
    "marmita_retraining_failures", "Retrainings in a row that failed or were interrupted", "model", process=FRONT
)
_last_decision = define_late_gauge(
    "marmita_shepherd_last_decision_timestamp_seconds",
    "Unix time of the last retraining decision, 'no action' included",
    process=FRONT,
    renamed_from="marmita_shepherd_seen_timestamp_seconds",
)


class RecordMetrics:
    """The recorder's metrics. They are set directly, as the recorder's thread updates them and no request does."""

    def __init__(self) -> None:
        for reason in ("full", "refused", "ended"):  # a counter that starts at 0 shows its first increase
            _dropped.labels(reason)

    def recorded(self, rows: int) -> None:
        _recorded.inc(rows)

    def dropped(self, rows: int, reason: str) -> None:
        _dropped.labels(reason).inc(rows)

    def queued(self, rows: int) -> None:
        _queue_depth.set(rows)

    def reachable(self, yes: bool) -> None:
        _reachable().set(int(yes))


def show_quality(quality: Quality) -> None:
    """Show the last measurement. A figure that it lacks is NaN."""
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
    """Show the time of the shepherd's last decision, if there is one, and the failures of its retrainings.

    The lease shows less: a shepherd renews it even if it hangs, or if each of its cycles fails.
    """
    if decided_at is not None:
        _last_decision().set(decided_at.timestamp())
    for model, count in failures.items():
        _failures.labels(model).set(count)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
