"""Rows of data sets under their contracts' names, and the rule that holds some of them out.

Tests, load tests, benchmarks and training share this module, so that they agree on both. It reads files with the
standard library: the libraries of training are slow to import.
"""

import csv
import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

HELD_OUT_PERCENT = 20

Row = dict[str, float]


def read_rows(
    file: Path, names: Sequence[str], headers: Mapping[str, str] | None = None, delimiter: str = ","
) -> list[Row]:
    """Return a file's rows under these names. `headers` maps names to the file's columns, where they differ."""
    columns = {name: (headers or {}).get(name, name) for name in names}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, delimiter=delimiter)
        return [{name: float(row[column]) for name, column in columns.items()} for row in reader]


def unseen(rows: Iterable[Row]) -> list[Row]:
    """Return each distinct row that is held out from every training."""
    distinct = {tuple(row.values()): row for row in rows}
    return [row for values, row in distinct.items() if is_held_out(values)]


def is_held_out(values: Sequence[float]) -> bool:
    """Return whether a row is held out from every training, by a hash of its values."""
    digest = hashlib.blake2b(struct.pack(f"<{len(values)}d", *values), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT
