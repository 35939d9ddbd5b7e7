"""The reference data, and the rows that no model may see before it is judged."""

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.rows import FOLDER as FOLDER
from training.rows import is_held_out

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def held_out(rows: Doubles) -> Mask:
    """Which rows are kept from every model.

    A row's own values decide. So equal rows always stand on the same side, and a row that was kept from one model is
    kept from the next, whatever the seed and however the data has grown: only then can two models be compared.
    """
    return np.array([is_held_out(row) for row in rows])


def fingerprint(table: pd.DataFrame | pd.Series) -> str:
    """SHA-256 of the values: the same data, the same fingerprint."""
    return hashlib.sha256(table.to_csv().encode()).hexdigest()
