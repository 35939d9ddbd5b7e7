"""The reference data under the contracts' names, and which of it no model may see.

The tests, the load test and training agree on both because all of them ask here. The standard library reads it: what
training imports is slow to load, and Locust patches the process that it is imported into.
"""

import csv
import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bentos.fetal_health.contract import HEADERS as EXAM_HEADERS
from bentos.fetal_health.contract import Exam
from bentos.wine_quality.contract import HEADERS as WINE_HEADERS
from bentos.wine_quality.contract import Wine
from marmita.contract.schema import features
from marmita.records.prices.time_split import first_unseen

FOLDER = Path(__file__).resolve().parents[2] / "training" / "data"
HELD_OUT_PERCENT = 20

Row = dict[str, float]


def exams() -> list[Row]:
    return _read("fetal_health.csv", features(Exam), EXAM_HEADERS)


def wines() -> list[Row]:
    return _read("winequality-red.csv", features(Wine), WINE_HEADERS, delimiter=";")


def closes() -> list[float]:
    """Oldest first, adjusted for splits and dividends."""
    return [row["Adj Close"] for row in _read("msft_daily.csv", ["Adj Close"], {})]


def unseen(rows: Iterable[Row]) -> list[Row]:
    """Each distinct row that is kept from every model."""
    distinct = {tuple(row.values()): row for row in rows}
    return [row for values, row in distinct.items() if is_held_out(values)]


def unseen_closes() -> list[float]:
    """The years after those that the forecaster knows."""
    days = closes()
    return days[first_unseen(len(days)) :]


def is_held_out(values: Sequence[float]) -> bool:
    """Whether a row is kept from every model: its own values decide."""
    digest = hashlib.blake2b(struct.pack(f"<{len(values)}d", *values), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT


def _read(file: str, names: Sequence[str], headers: Mapping[str, str], delimiter: str = ",") -> list[Row]:
    with (FOLDER / file).open() as lines:
        reader = csv.DictReader(lines, delimiter=delimiter)
        return [{name: float(row[headers.get(name, name)]) for name in names} for row in reader]
