"""Estimators and tables in files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.pack import pack
from marmita.training.estimators.result import PackedTable


def pack_files(
    estimator: Path,
    data: Path,
    *,
    target: str,
    holdout: Path | None = None,
    drop: Sequence[str] = (),
    delimiter: str = ",",
    **more: Any,
) -> PackedTable:
    """Pack an estimator that was saved with joblib or pickle. Its file may run code: it must be trusted.

    `more` are other arguments of `pack`.
    """
    loaded = _load(estimator)
    rows, truths = _read(data, target, drop, delimiter)
    unseen = _read(holdout, target, drop, delimiter) if holdout else None
    return pack(loaded, rows, truths, holdout=unseen, **more)


def _load(file: Path) -> Any:
    try:
        return joblib.load(file)
    except Exception as error:  # unpickling may raise anything
        raise CannotPackError(
            Problem.FILE,
            f"{file} can't be loaded as an estimator: {type(error).__name__}: {error}. Functions and classes that it "
            "needs must be in a module that can be imported here",
        ) from error


def _read(file: Path, target: str, drop: Sequence[str], delimiter: str) -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    try:
        table = pd.read_csv(file, sep=delimiter, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise CannotPackError(Problem.FILE, f"{file} can't be read as a CSV in UTF-8: {error}") from error
    for name in (target, *drop):
        if name not in table:
            names = ", ".join(map(str, table.columns))
            raise CannotPackError(Problem.FILE, f"{file} has no column {name}: it has {names}")
    return table.drop(columns=[target, *drop]), table[target]
