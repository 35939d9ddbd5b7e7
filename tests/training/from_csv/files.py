"""Files for tests: a table of columns, written as a CSV."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marmita.training.from_csv.profiles import ColumnProfile


def write(path: Path, columns: Mapping[str, Sequence[object]], delimiter: str = ",") -> Path:
    """Write columns of equal length, and return the file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def profiled(texts: Sequence[str], name: str = "x") -> ColumnProfile:
    """Return the profile of a column with these texts."""
    made = ColumnProfile(name)
    made.add(texts, range(2, 2 + len(texts)))
    return made


def mixed(rows: int, *, seed: int = 1) -> dict[str, list[object]]:
    """Return columns of all kinds, with gaps, on which classes (`left`) and values (`paid`) depend."""
    generator = np.random.default_rng(seed)
    age = generator.integers(18, 90, rows)
    balance = generator.normal(100, 40, rows).round(2)
    plan = generator.choice(["basic", "pro", "max"], rows)
    city = generator.choice([f"city {place}" for place in range(30)], rows)
    active = generator.choice(["yes", "no"], rows)
    paid = 2.0 * age + balance * (plan == "pro") + 30 * (active == "yes") + generator.normal(0, 5, rows)
    left = np.where(paid > np.median(paid), "leaves", "stays")
    return {
        "age": age.tolist(),
        "balance": _with_gaps(balance, generator),
        "plan": _with_gaps(plan, generator),
        "city": city.tolist(),
        "active": active.tolist(),
        "paid": paid.round(3).tolist(),
        "left": left.tolist(),
    }


def _with_gaps(values: npt.NDArray[np.generic], generator: np.random.Generator) -> list[object]:
    return [
        "" if gap else value for gap, value in zip(generator.random(len(values)) < 0.1, values.tolist(), strict=True)
    ]
