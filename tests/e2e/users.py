"""The load test's users, what they ask, and answers that can be right."""

from typing import Any

from tests.samples import CLASSIFY, FORECAST, SCORE, exams, series, wines

USERS = {CLASSIFY: "FetalHealth", SCORE: "WineQuality", FORECAST: "StockForecast"}
ASKED = {CLASSIFY: exams(1)["exams"], SCORE: wines(1)["wines"], FORECAST: series(1, horizon=2)["series"]}
LAST = ASKED[FORECAST][0]["closes"][-1]
RIGHT: dict[str, Any] = {
    CLASSIFY: {
        "status": "suspect",
        "probabilities": {"normal": 0.1, "suspect": 0.7, "pathological": 0.2},
        "unusual": ["histogram_min"],
        "model": "fetal_health:abc",
    },
    SCORE: {
        "quality": 5.0,
        "interval": {"low": 4.0, "high": 6.0, "coverage": 0.9},
        "unusual": [],
        "model": "wine_quality:abc",
    },
    FORECAST: {
        "path": [{"step": step, "close": LAST, "low": LAST - 1, "high": LAST + 1} for step in (1, 2)],
        "coverage": 0.9,
        "model": "stock_forecast:abc",
    },
}
