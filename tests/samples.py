"""Small recipes, and requests as clients send them."""

from functools import cache
from typing import Any

from bentos.stock_forecast.contract import WINDOW
from marmita.training import rows
from training import fetal_health, wine_quality
from training.stock_forecast.windows import Recipe

FETAL_HEALTH = fetal_health.Recipe(trees=10, iterations=10, folds=2, shufflings=1)
WINE_QUALITY = wine_quality.Recipe(trees=10, iterations=10, folds=2, residual_folds=2)
STOCK_FORECAST = Recipe(units=4, epochs=1)

CLASSIFY, SCORE, FORECAST = "/fetal-health/classify", "/wine-quality/score", "/stock-forecast/forecast"

_exams, _wines = cache(rows.exams), cache(rows.wines)


@cache
def _closes() -> list[float]:
    return [round(close, 4) for close in rows.closes()]


def exams(count: int, start: int = 0) -> dict[str, Any]:
    return {"exams": [dict(row) for row in _exams()[start : start + count]]}


def wines(count: int, start: int = 0) -> dict[str, Any]:
    return {"wines": [dict(row) for row in _wines()[start : start + count]]}


def series(count: int, start: int = 0, horizon: int = 5) -> dict[str, Any]:
    days = range(start, start + count)
    return {"series": [{"closes": _closes()[day : day + WINDOW], "horizon": horizon} for day in days]}


REQUESTS = {CLASSIFY: exams, SCORE: wines, FORECAST: series}
"""A maker of good requests for each route."""
