"""The reference data, and the rows that no model may see before it is judged."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

FOLDER = Path(__file__).parent / "data"
HELD_OUT_PERCENT = 20

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def held_out(rows: Doubles) -> Mask:
    """Which rows are kept from every model.

    A row's own values decide. So equal rows always stand on the same side, and a row that was kept from one model is
    kept from the next, whatever the seed and however the data has grown: only then can two models be compared.
    """
    return np.array([_bucket(row) < HELD_OUT_PERCENT for row in rows])


def _bucket(row: Doubles) -> int:
    digest = hashlib.blake2b(row.astype("<f8").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100


def fingerprint(table: pd.DataFrame | pd.Series) -> str:
    """SHA-256 of the values: the same data, the same fingerprint."""
    return hashlib.sha256(table.to_csv().encode()).hexdigest()
