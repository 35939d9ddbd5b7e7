"""FastAPI as tutorials show it: an array into Keras' `predict`, in a synchronous endpoint."""

import os
from pathlib import Path

import keras
import numpy as np

from benchmarks.contenders.fastapi.contract import WINDOW, AllSeries, Forecast, Step
from benchmarks.contenders.fastapi.middleware import application

app = application()
path = Path(os.environ["BENCH_FORECASTER"])
model = keras.saving.load_model(path / "model.keras")


@app.post("/stock-forecast/forecast")
def forecast(body: AllSeries) -> list[Forecast]:
    rows = np.array([one.closes[-WINDOW:] for one in body.series], dtype=np.float32)
    outputs = model.predict(rows, verbose=0)
    answers = []
    for index, one in enumerate(body.series):
        days = [outputs[name][index].tolist() for name in ("close", "low", "high")]
        steps = [
            Step(step=step, close=close, low=low, high=high)
            for step, (close, low, high) in enumerate(zip(*days, strict=True), start=1)
        ]
        answers.append(Forecast(path=steps[: one.horizon], coverage=0.9, model="stock_forecast"))
    return answers
