"""Small recipes, and requests as clients send them."""

import csv
from functools import cache
from typing import Any

from bentos.fetal_health.contract import HEADERS as EXAM_HEADERS
from bentos.fetal_health.contract import Exam
from bentos.stock_forecast.contract import WINDOW
from bentos.wine_quality.contract import HEADERS as WINE_HEADERS
from bentos.wine_quality.contract import Wine
from marmita.contract import features
from training import fetal_health, wine_quality
from training.data import FOLDER
from training.windows import Recipe

FETAL_HEALTH = fetal_health.Recipe(trees=10, iterations=10, folds=2, shufflings=1)
WINE_QUALITY = wine_quality.Recipe(trees=10, iterations=10, folds=2, residual_folds=2)
STOCK_FORECAST = Recipe(units=4, epochs=1)

CLASSIFY, SCORE, FORECAST = "/fetal-health/classify", "/wine-quality/score", "/stock-forecast/forecast"


@cache
def _exams() -> list[dict[str, float]]:
    return _rows("fetal_health.csv", ",", features(Exam), EXAM_HEADERS)


@cache
def _wines() -> list[dict[str, float]]:
    return _rows("winequality-red.csv", ";", features(Wine), WINE_HEADERS)


@cache
def _closes() -> list[float]:
    with (FOLDER / "msft_daily.csv").open() as file:
        return [round(float(row["Adj Close"]), 4) for row in csv.DictReader(file)]


def exams(count: int, start: int = 0) -> dict[str, Any]:
    return {"exams": [dict(row) for row in _exams()[start : start + count]]}


def wines(count: int, start: int = 0) -> dict[str, Any]:
    return {"wines": [dict(row) for row in _wines()[start : start + count]]}


def series(count: int, start: int = 0, horizon: int = 5) -> dict[str, Any]:
    days = range(start, start + count)
    return {"series": [{"closes": _closes()[day : day + WINDOW], "horizon": horizon} for day in days]}


REQUESTS = {CLASSIFY: exams, SCORE: wines, FORECAST: series}
"""A maker of good requests for each route."""


def _rows(file: str, delimiter: str, names: list[str], headers: dict[str, str]) -> list[dict[str, float]]:
    with (FOLDER / file).open() as lines:
        return [
            {name: float(row[headers.get(name, name)]) for name in names}
            for row in csv.DictReader(lines, delimiter=delimiter)
        ]
