"""Scores on held-out rows: those of classifiers and of regressors, and the one that models are compared by."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    confusion_matrix,
    log_loss,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)

from marmita.registry.card import Headline
from marmita.training.examples import Doubles

CALIBRATION_BINS = 10

Labels = npt.NDArray[np.int64]
"""The places of classes in a model's list of classes."""


def class_scores(classes: Sequence[str], truths: Labels, predicted: Doubles) -> dict[str, Any]:
    """Score the probabilities of classes."""
    places = range(len(classes))
    best = predicted.argmax(axis=1)
    whole = predicted / predicted.sum(axis=1, keepdims=True)
    by_class = precision_recall_fscore_support(truths, best, labels=places, zero_division=0)
    return {
        "accuracy": float(np.mean(best == truths)),
        "macro_f1": float(np.mean(by_class[2])),
        "log_loss": float(log_loss(truths, whole, labels=places)),
        "calibration_error": calibration_error(truths, predicted),
        "classes": {
            name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "rows": int(rows)}
            for name, precision, recall, f1, rows in zip(classes, *by_class, strict=True)
        },
        "confusion": confusion_matrix(truths, best, labels=places).tolist(),
    }


def value_scores(truths: Doubles, predicted: Doubles) -> dict[str, Any]:
    """Score the predictions of a value."""
    return {
        "mae": float(mean_absolute_error(truths, predicted)),
        "rmse": float(root_mean_squared_error(truths, predicted)),
        "r2": float(r2_score(truths, predicted)),
    }


def interval_scores(truths: Doubles, outputs: Doubles) -> dict[str, Any]:
    """Score intervals. The outputs are columns of a value, its low end and its high end."""
    low, high = outputs[:, 1], outputs[:, 2]
    return {
        "interval_coverage": float(np.mean((truths >= low) & (truths <= high))),
        "interval_width": float(np.mean(high - low)),
    }


def calibration_error(labels: Labels, probabilities: Doubles) -> float:
    """Return the expected calibration error: how far confidence is from accuracy, over bins of equal width."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    gaps = _by_bin(confidence, right - confidence)
    return float(np.abs(gaps).sum() / len(labels))


def calibration_error_by_chance(probabilities: Doubles) -> float:
    """Return the calibration error that perfectly calibrated probabilities have on average, as rows are few.

    The gap of a bin is about normal: its mean absolute value is its deviation times the root of 2/π.
    """
    confidence = probabilities.max(axis=1)
    variances = _by_bin(confidence, confidence * (1 - confidence))
    return float(np.sqrt(2 / np.pi * np.maximum(variances, 0)).sum() / len(confidence))


def make_headline(
    metric: str,
    held_out: Mapping[str, Any],
    by_baseline: Mapping[str, Mapping[str, Any]],
    *,
    higher_is_better: bool,
    tolerance: float = 0.0,
) -> Headline:
    """Return a model's score beside that of its best baseline."""
    best = (max if higher_is_better else min)(by_baseline, key=lambda name: float(by_baseline[name][metric]))
    return Headline(
        metric=metric,
        value=held_out[metric],
        baseline=best,
        baseline_value=by_baseline[best][metric],
        higher_is_better=higher_is_better,
        tolerance=tolerance,
    )


def _by_bin(confidence: Doubles, values: Doubles) -> Doubles:
    place = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    sums: Doubles = np.bincount(place, weights=values, minlength=CALIBRATION_BINS).astype(np.float64)
    return sums
