"""FastAPI as tutorials show it: a data frame into scikit-learn's `predict`, in a synchronous endpoint."""

import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from pydantic import BaseModel

from benchmarks.contenders.fastapi.contract import Wines
from benchmarks.contenders.fastapi.middleware import application


class Score(BaseModel):
    """The answer for one wine."""

    quality: float


app = application()
model = joblib.load(Path(os.environ["BENCH_WINE"]) / "saved_model.pkl")


@app.post("/wine-quality/score")
def score(body: Wines) -> list[Score]:
    frame = pd.DataFrame([wine.model_dump() for wine in body.wines])
    return [Score(quality=quality) for quality in model.predict(frame.to_numpy(np.float32))]
