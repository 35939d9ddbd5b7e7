"""The rows of a notebook's table with their truths, and the estimator that is fitted on some of them."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import KFold

from marmita.training.conversion import in_single_precision, parts
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.frame import Table, Values, at, held_out_rows
from marmita.training.estimators.graph import rounding
from marmita.training.estimators.target import Target, check_varies
from marmita.training.estimators.trial import answer, scale
from marmita.training.examples import Doubles
from marmita.training.packing import TOLERANCE, rejected_rows

FEWEST_ROWS = 50
FEWEST_HELD_OUT = 10
RESIDUAL_FOLDS = 5


@dataclass(frozen=True)
class Rows:
    """Rows of a table with their truths."""

    values: Values
    target: Target
    given: Any = None
    """The rows as they were given, where they are needed."""

    def __len__(self) -> int:
        return len(self.target.values)

    def at(self, rows: npt.NDArray[Any]) -> "Rows":
        """Return some of the rows, by a mask or by their places."""
        given = self.given.iloc[rows] if isinstance(self.given, pd.DataFrame) else self.given
        if isinstance(given, np.ndarray):
            given = given[rows]
        return Rows(at(self.values, rows), Target(self.target.name, self.target.values[rows]), given)


@dataclass(frozen=True)
class Split:
    """A table with the categories of the rows to learn from, these rows, and those that are held out from them."""

    table: Table
    train: Rows
    unseen: Rows

    @classmethod
    def read(cls, x: Any, y: Any, holdout: tuple[Any, Any] | None, *, classifies: bool) -> "Split":
        """Read a notebook's rows. Hold out a fifth of them, or take the given ones for that."""
        table, values = Table.read(x)
        given = Rows(values, Target.read(y, x, classifies=classifies))
        check_varies(given.target.values, classifies=classifies)
        if holdout is None:
            mask = held_out_rows(values)
            train, unseen = given.at(~mask), given.at(mask)
        else:
            rows, truths = holdout
            train = given
            target = Target.read(truths, rows, classifies=classifies, what="y_test")
            unseen = Rows(table.read_more(rows), target, given=rows)
        if len(given) < FEWEST_ROWS or len(unseen) < FEWEST_HELD_OUT:
            raise CannotPackError(
                Problem.ROWS,
                f"X has {len(given)} rows, and {len(unseen)} rows are held out, equal ones together: it takes "
                f"{FEWEST_ROWS} and {FEWEST_HELD_OUT} to score a model",
            )
        check_varies(train.target.values, classifies=classifies)
        return cls(table.learn(train.values), train, unseen)


def fit(estimator: Any, table: Table, rows: Rows) -> Any:
    """Return a copy of an estimator, fitted on these rows. Its predictions are those of single precision."""
    try:
        fresh = rounding(clone(estimator)).fit(table.native(rows.values), rows.target.values)
    except Exception as error:  # an estimator may raise anything
        raise CannotPackError(Problem.FIT, f"the estimator can't be fitted on these rows: {error}") from error
    return in_single_precision(fresh)


def check_selectors(estimator: Any, given: Any, split: Split) -> None:
    """Raise an error if a `ColumnTransformer` would choose other columns, as the dtypes are not those of X."""
    if split.table.is_array:
        return
    native = split.table.native(split.train.values)
    for path, part in parts(estimator):
        for step, _, chosen in part.transformers if isinstance(part, ColumnTransformer) else ():
            if callable(chosen) and _chosen(chosen, given) != _chosen(chosen, native):
                raise CannotPackError(
                    Problem.ESTIMATOR,
                    f"the step {'/'.join(filter(None, (path, step)))} chooses columns by dtypes that it would not get: "
                    "floats get 64 bits, and nullable dtypes become plain ones. Name its columns instead",
                )


def check_rounding(estimator: Any, fitted: Any, split: Split, spread: float) -> None:
    """Raise an error if an estimator answers held-out rows otherwise as they were given than as a service gets them.

    `fitted` is its copy in single precision.
    """
    given = split.unseen.given
    expected = answer(estimator, given)
    found = answer(fitted, split.table.native(split.unseen.values))
    difference = float(np.max(np.abs(found - expected) / scale(estimator, expected, spread)))
    if not difference <= TOLERANCE:
        raise CannotPackError(
            Problem.DIFFERENCE,
            f"the estimator was fitted in double precision, and its answers to rows in single precision differ by "
            f"{difference:.1e}, most likely for the column {split.table.most_rounded(given)}. Pack it unfitted, so "
            "that it is fitted on rounded rows, or subtract a constant from that column",
        )


def residuals(estimator: Any, split: Split, seed: int) -> Doubles:
    """Return the out-of-fold residuals of the rows to learn from. Rows that a contract would refuse are left out."""
    found = []
    for learnt, asked in KFold(RESIDUAL_FOLDS, shuffle=True, random_state=seed).split(np.arange(len(split.train))):
        rows, others = split.train.at(learnt), split.train.at(asked)
        table = split.table.learn(rows.values)
        others = others.at(~rejected_rows(table.columns, table.encode(others.values)))
        if len(others):
            predicted = answer(fit(estimator, table, rows), table.native(others.values))[:, 0]
            found.append(others.target.values - predicted)
    return np.concatenate(found) if found else np.empty(0)


def _chosen(choose: Any, frame: pd.DataFrame) -> list[Hashable] | None:
    """Return the columns that a selector chooses, or None if it is one of another table than X."""
    try:
        return list(choose(frame))
    except Exception:  # a selector may raise anything
        return None
