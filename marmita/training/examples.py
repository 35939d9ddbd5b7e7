"""The rows that a model is made from, and those of them that no model may see before it is judged."""

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
"""Of those who name no other. The same seed gives the same model."""

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Truth = TypeVar("Truth", np.float64, np.int64)


@dataclass(frozen=True)
class Examples(Generic[Truth]):
    """Distinct rows with what is true of them, and which of them no model may see."""

    features: Floats
    truths: npt.NDArray[Truth]
    held_out: Mask
    source: str
    licence: str
    fingerprint: str
    labels_read: datetime | None = None
    """When the records were asked for labels, if they were."""

    @property
    def seen(self) -> tuple[Floats, npt.NDArray[Truth]]:
        return self.features[~self.held_out], self.truths[~self.held_out]

    @property
    def unseen(self) -> tuple[Floats, npt.NDArray[Truth]]:
        return self.features[self.held_out], self.truths[self.held_out]

    def described(self) -> Data:
        """What the card says of them."""
        return Data(
            source=self.source,
            licence=self.licence,
            fingerprint=self.fingerprint,
            rows=int(np.sum(~self.held_out)),
            rows_held_out=int(np.sum(self.held_out)),
            labels_read=self.labels_read,
        )


class CannotTrainError(ValueError):
    """No model can be made from these rows."""


def distinct(
    table: pd.DataFrame, row: type[Row], target: str, headers: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return each distinct row of a table once. Columns that are no feature, such as a row's number, don't count."""
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
    """Return the rows of a table as examples. `headers` are the table's names of features, where they differ.

    The model sees single precision: what it is served with.
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
    """Which rows are kept from every model.

    A row's own values decide. So equal rows always stand on the same side, and a row that was kept from one model is
    kept from the next, whatever the seed and however the data has grown: only then can two models be compared.
    """
    return np.array([is_held_out(row) for row in rows], dtype=np.bool_)


def fingerprint(table: pd.DataFrame | pd.Series) -> str:
    """SHA-256 of the values: the same data, the same fingerprint."""
    return hashlib.sha256(table.to_csv().encode()).hexdigest()
