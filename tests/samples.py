"""Small recipes, and requests as clients send them."""

from functools import cache
from typing import Any

from bentos import fetal_health, wine_quality
from bentos.stock_forecast.contract import WINDOW
from marmita.contract.rows import features
from marmita.training.rows import Row, read_rows
from training import DATA
from training.stock_forecast.windows import Recipe

SMALL: dict[str, dict[str, int]] = {
    "fetal_health": {"trees": 10, "iterations": 10, "folds": 2, "shufflings": 1},
    "wine_quality": {"trees": 10, "iterations": 10, "folds": 2, "residual_folds": 2},
    "stock_forecast": {"units": 4, "epochs": 1},
}
"""Parameters by which a model is trained in seconds."""
FETAL_HEALTH, WINE_QUALITY = SMALL["fetal_health"], SMALL["wine_quality"]
STOCK_FORECAST = Recipe(**SMALL["stock_forecast"])

CLASSIFY, SCORE, FORECAST = "/fetal-health/classify", "/wine-quality/score", "/stock-forecast/forecast"
INFER = "/v2/models/wine_quality/infer"


@cache
def _exams() -> list[Row]:
    return read_rows(DATA / "fetal_health.csv", features(fetal_health.Exam), fetal_health.HEADERS)


@cache
def _wines() -> list[Row]:
    return read_rows(DATA / "winequality-red.csv", features(wine_quality.Wine), wine_quality.HEADERS, ";")


@cache
def _closes() -> list[float]:
    return [round(row["Adj Close"], 4) for row in read_rows(DATA / "msft_daily.csv", ["Adj Close"])]


def exams(count: int, start: int = 0) -> dict[str, Any]:
    return {"exams": [dict(row) for row in _exams()[start : start + count]]}


def wines(count: int, start: int = 0) -> dict[str, Any]:
    return {"wines": [dict(row) for row in _wines()[start : start + count]]}


def wine_tensors(count: int, **top: Any) -> dict[str, Any]:
    """The same wines for the Open Inference Protocol."""
    rows = [list(wine.values()) for wine in wines(count)["wines"]]
    values = [value for row in rows for value in row]
    tensor = {"name": "features", "shape": [count, len(rows[0])], "datatype": "FP32", "data": values}
    return {"inputs": [tensor], **top}


def series(count: int, start: int = 0, horizon: int = 5) -> dict[str, Any]:
    days = range(start, start + count)
    return {"series": [{"closes": _closes()[day : day + WINDOW], "horizon": horizon} for day in days]}


REQUESTS = {CLASSIFY: exams, SCORE: wines, FORECAST: series}
"""A maker of good requests for each route."""
