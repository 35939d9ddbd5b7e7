"""FastAPI with equal features, by hand: the contract of this service, compiled models, metrics, request ids, logs."""

import numpy as np

from benchmarks.contenders.fastapi.contract import (
    HORIZON,
    WINDOW,
    AllSeries,
    Forecast,
    Interval,
    Step,
    Wine,
    Wines,
    WineScore,
)
from benchmarks.contenders.fastapi.middleware import application
from benchmarks.contenders.fastapi.models import Model

FEATURES = list(Wine.model_fields)
FLAT = 0.005

app = application()
wine_quality = Model("BENCH_WINE")
stock_forecast = Model("BENCH_FORECASTER")


@app.post("/wine-quality/score")
async def score(body: Wines) -> list[WineScore]:
    rows = np.array([[getattr(wine, name) for name in FEATURES] for wine in body.wines], dtype=np.float32)
    outputs = wine_quality(rows).astype(float).round(4).tolist()
    unusual = wine_quality.unusual(rows)
    wine_quality.answered((f"{quality:.0f}" for quality, _, _ in outputs), unusual)
    return [
        WineScore(
            quality=quality,
            interval=Interval(low=low, high=high, coverage=wine_quality.coverage),
            unusual=names,
            model=wine_quality.tag,
        )
        for (quality, low, high), names in zip(outputs, unusual, strict=True)
    ]


@app.post("/stock-forecast/forecast")
async def forecast(body: AllSeries) -> list[Forecast]:
    rows = np.array([one.closes[-WINDOW:] for one in body.series], dtype=np.float32)
    outputs = stock_forecast(rows).astype(float).reshape(len(rows), 3, HORIZON).tolist()
    answers = []
    ends = []
    for one, days in zip(body.series, outputs, strict=True):
        path = [
            Step(step=step, close=close, low=low, high=high)
            for step, (close, low, high) in enumerate(zip(*days, strict=True), start=1)
        ][: one.horizon]
        change = path[-1].close / one.closes[-1] - 1
        ends.append("flat" if abs(change) <= FLAT else "rise" if change > 0 else "fall")
        answers.append(Forecast(path=path, coverage=stock_forecast.coverage, model=stock_forecast.tag))
    stock_forecast.answered(ends)
    return answers
