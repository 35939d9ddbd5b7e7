"""What an estimator predicts: the classes or the values in a notebook, as truths of a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import is_classifier, is_regressor

from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.frame import check_text

MOST_CLASSES = 100


@dataclass(frozen=True)
class Target:
    """The truths of a table's rows, as the estimator takes them."""

    name: str
    values: npt.NDArray[Any]

    @classmethod
    def read(cls, given: Any, rows: Any, *, classifies: bool, what: str = "y") -> "Target":
        """Return the truths of rows. `what` names them in errors."""
        series = _series(given, what)
        if len(series) != len(rows):
            raise CannotPackError(
                Problem.TARGET, f"{what} has {len(series)} values, and there are {len(rows)} rows: each needs one"
            )
        if isinstance(rows, pd.DataFrame) and isinstance(given, pd.Series) and _is_shuffled(rows.index, given.index):
            raise CannotPackError(
                Problem.TARGET, f"{what} has the rows' index in another order: put it in theirs, with .loc[X.index]"
            )
        if (gaps := series.isna()).any():
            raise CannotPackError(Problem.TARGET, f"{what}, row {series.index[int(np.argmax(gaps))]}: it is missing")
        name = str(series.name) if series.name is not None else "y"
        check_text(Problem.TARGET, "the name of y", name)
        return cls(name, _labels(series, what) if classifies else _numbers(series, what))

    def places(self, classes: Sequence[Any]) -> npt.NDArray[np.int64]:
        """Return the place of each row's class among those of the estimator."""
        places = {label: place for place, label in enumerate(classes)}
        labels = self.values.tolist()
        if unknown := sorted({str(label) for label in labels if label not in places}):
            raise CannotPackError(
                Problem.TARGET,
                f"the estimator knows no class {', '.join(unknown)}: none of the rows that it was fitted on has it",
            )
        return np.array([places[label] for label in labels], dtype=np.int64)


def class_names(classes: Sequence[Any]) -> list[str]:
    """Return the names of an estimator's classes."""
    names = [str(label).lower() if isinstance(label, bool) else str(label) for label in classes]
    for name in names:
        check_text(Problem.TARGET, "a class", name)
    return names


def check_varies(values: npt.NDArray[Any], *, classifies: bool) -> None:
    """Raise an error unless there is something to learn: classes to tell apart, and not too many, or several values."""
    count = len(set(values.tolist()))
    if count < 2:
        raise CannotPackError(Problem.TARGET, f"y is {values[0]} in every row: there is nothing to learn")
    if classifies and count > MOST_CLASSES:
        raise CannotPackError(
            Problem.TARGET,
            f"y has {count} classes, and a classifier has at most {MOST_CLASSES}. A regressor predicts numbers",
        )


def classifies(estimator: Any) -> bool:
    """Tell whether an estimator is a classifier. Raise an error if it is neither that nor a regressor."""
    try:
        if is_regressor(estimator):
            return False
        fits = is_classifier(estimator)
    except (AttributeError, TypeError):  # something that is no estimator at all
        fits = False
    if not fits:
        raise CannotPackError(
            Problem.ESTIMATOR,
            f"the estimator must be a classifier or a regressor of scikit-learn: it is {type(estimator).__name__}",
        )
    if not hasattr(estimator, "predict_proba"):
        raise CannotPackError(
            Problem.ESTIMATOR,
            f"{type(estimator).__name__} gives no probabilities, as it has no predict_proba. A vote needs "
            "voting='soft'; for other models, pack CalibratedClassifierCV(estimator, method='sigmoid')",
        )
    return True


def _series(given: Any, what: str) -> "pd.Series[Any]":
    if isinstance(given, pd.DataFrame) and given.shape[1] == 1:
        return given.iloc[:, 0]
    if isinstance(given, np.ndarray | pd.DataFrame) and given.ndim != 1:
        raise CannotPackError(Problem.TARGET, f"{what} must have one dimension: it has the shape {given.shape}")
    return pd.Series(given)


def _is_shuffled(rows: "pd.Index[Any]", truths: "pd.Index[Any]") -> bool:
    return not rows.equals(truths) and not set(rows).symmetric_difference(truths)


def _labels(series: "pd.Series[Any]", what: str) -> npt.NDArray[Any]:
    """Return labels as words, as whole numbers, or as true and false."""
    found = pd.api.types.infer_dtype(series)
    if found == "categorical":
        return _labels(pd.Series(series.to_numpy(), series.index, name=series.name).infer_objects(), what)
    if found == "string":
        return series.to_numpy(dtype=object)
    if found == "boolean":
        return series.to_numpy(dtype=np.bool_)
    if found in ("integer", "floating", "mixed-integer-float", "decimal"):
        numbers = series.to_numpy(dtype=np.float64)
        if np.array_equal(numbers, np.round(numbers)) and np.abs(numbers).max() < 2**53:
            return numbers.astype(np.int64)
        raise CannotPackError(Problem.TARGET, f"{what} has numbers that are not whole: they are no classes")
    raise CannotPackError(
        Problem.TARGET, f"{what} must have words, whole numbers, or true and false as classes: it has {found}"
    )


def _numbers(series: "pd.Series[Any]", what: str) -> npt.NDArray[Any]:
    if not (pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.infer_dtype(series) in ("integer", "floating")):
        raise CannotPackError(Problem.TARGET, f"{what} must be numbers for a regressor: it has {series.dtype}")
    numbers = series.to_numpy(dtype=np.float64)
    if (wrong := ~(np.abs(numbers) < np.finfo(np.float32).max)).any():
        row = series.index[int(np.argmax(wrong))]
        raise CannotPackError(Problem.TARGET, f"{what}, row {row}: it is infinite, or beyond single precision")
    return numbers
