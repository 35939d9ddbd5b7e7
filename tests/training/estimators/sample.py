"""A small table with columns of every kind, gaps and odd names, and estimators for it."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder

PRICE, VISITS, SCORE, MEMBER, COLOUR, CITY = "preço R$", "a b", "a_b", "member?", "probabilities", "city"
NUMBERS, WORDS = [PRICE, VISITS, SCORE, MEMBER], [COLOUR, CITY]
COLOURS = ["blue", "green", "red", "São"]


@cache
def table(rows: int = 400) -> pd.DataFrame:
    """Numbers with gaps, whole numbers, true and false, words, and words with gaps."""
    generator = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            PRICE: generator.normal(50, 20, rows).round(1),
            VISITS: generator.integers(0, 20, rows),
            SCORE: generator.normal(size=rows),
            MEMBER: generator.integers(0, 2, rows).astype(bool),
            COLOUR: generator.choice(COLOURS, rows),
            CITY: generator.choice([f"c{place}" for place in range(12)], rows),
        }
    )
    frame.loc[generator.uniform(size=rows) < 0.1, PRICE] = np.nan
    frame.loc[generator.uniform(size=rows) < 0.1, CITY] = np.nan
    return frame


def values(frame: pd.DataFrame) -> "pd.Series[float]":
    """Values that trees learn better than lines do."""
    generator = np.random.default_rng(2)
    steps = (frame[SCORE].abs() > 0.7) * 2.0 + (frame[COLOUR] == "red") * (frame[VISITS] % 4)
    return (steps + generator.normal(scale=0.2, size=len(frame)) + 1).rename("spent")


def answers(frame: pd.DataFrame) -> "pd.Series[str]":
    """Two classes."""
    return pd.Series(["yes" if value > 2.2 else "no" for value in values(frame)], frame.index, name="stays")


def prepared(numbers: Any = "passthrough", words: Any = None) -> ColumnTransformer:
    """Prepare the columns by their kinds. Words become indicators by default."""
    indicators = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("words", words or indicators, WORDS)])
