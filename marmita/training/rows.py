"""Rows of data sets under their contracts' names, and which of them no model may see.

Tests, load tests, benchmarks and training agree on both because all of them ask here. The standard library reads the
files: what training imports is slow to load.
"""

import csv
import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

DELIMITERS = ",;\t"
HELD_OUT_PERCENT = 20

Row = dict[str, float]


def read_rows(
    file: Path, names: Sequence[str], headers: Mapping[str, str] | None = None, delimiter: str = ","
) -> list[Row]:
    """Return a file's rows under these names. `headers` are the file's names, where they differ."""
    columns = {name: (headers or {}).get(name, name) for name in names}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, delimiter=delimiter)
        return [{name: float(row[column]) for name, column in columns.items()} for row in reader]


def delimiter_of(line: str) -> str:
    """Return what separates the columns of a file, from its first line: the mark that makes most of them."""
    return max(DELIMITERS, key=lambda one: len(next(csv.reader([line], delimiter=one), [])))


def unseen(rows: Iterable[Row]) -> list[Row]:
    """Return each distinct row that is kept from every model."""
    distinct = {tuple(row.values()): row for row in rows}
    return [row for values, row in distinct.items() if is_held_out(values)]


def is_held_out(values: Sequence[float]) -> bool:
    """Tell whether a row is kept from every model: its own values decide."""
    digest = hashlib.blake2b(struct.pack(f"<{len(values)}d", *values), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT
