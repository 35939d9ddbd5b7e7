"""Labelled rows for training, and the split that holds some of them out for the evaluation."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from marmita.contract.rows import Floats, Row, features
from marmita.registry.card import Data
from marmita.training.rows import is_held_out

SEED = 7
"""The default seed. The same seed gives the same model."""

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Truth = TypeVar("Truth", np.float64, np.int64)


@dataclass(frozen=True)
class Examples(Generic[Truth]):
    """Distinct rows with their true labels, and a mask of those that are held out."""

    features: Floats
    truths: npt.NDArray[Truth]
    held_out: Mask
    source: str
    licence: str
    fingerprint: str
    labels_read: datetime | None = None
    """When the labels were read from the records, if they were."""

    @property
    def seen(self) -> tuple[Floats, npt.NDArray[Truth]]:
        return self.features[~self.held_out], self.truths[~self.held_out]

    @property
    def unseen(self) -> tuple[Floats, npt.NDArray[Truth]]:
        return self.features[self.held_out], self.truths[self.held_out]

    def described(self) -> Data:
        """Return the description of the examples for the model's card."""
        return Data(
            source=self.source,
            licence=self.licence,
            fingerprint=self.fingerprint,
            rows=int(np.sum(~self.held_out)),
            rows_held_out=int(np.sum(self.held_out)),
            labels_read=self.labels_read,
        )


class CannotTrainError(ValueError):
    """An error in the training data: no model can be trained on these rows."""


def distinct(
    table: pd.DataFrame, row: type[Row], target: str, headers: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return each distinct row of a table once. Only features and the target are compared, not a row number, say."""
    return table.drop_duplicates([*_columns(row, headers), target])


def from_table(
    table: pd.DataFrame,
    row: type[Row],
    truths: npt.NDArray[Truth],
    *,
    headers: Mapping[str, str] | None = None,
    source: str,
    licence: str,
) -> Examples[Truth]:
    """Return the rows of a table as examples. `headers` maps features to the table's column names, where they differ.

    The features are rounded to single precision, as they are when the model is served.
    """
    rows = table[_columns(row, headers)].to_numpy(dtype=np.float64)
    return Examples(
        features=rows.astype(np.float32),
        truths=truths,
        held_out=held_out(rows),
        source=source,
        licence=licence,
        fingerprint=fingerprint(table),
    )


def _columns(row: type[Row], headers: Mapping[str, str] | None) -> list[str]:
    return [(headers or {}).get(name, name) for name in features(row)]


def held_out(rows: Doubles) -> Mask:
    """Return the mask of the rows that are held out from every training.

    The mask depends on a row's own values only, not on the seed or on the other rows. So equal rows are on the same
    side of the split, and a row that is held out from one model is held out from the next: two models can be compared.
    """
    return np.array([is_held_out(row) for row in rows], dtype=np.bool_)


def fingerprint(table: pd.DataFrame | pd.Series) -> str:
    """Return the SHA-256 digest of the values."""
    return hashlib.sha256(table.to_csv().encode()).hexdigest()
