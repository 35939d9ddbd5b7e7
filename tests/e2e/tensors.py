"""Requests of the Open Inference Protocol to the three models, and what they are answered with."""

from typing import Any

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from marmita.contract.rows import Floats
from tests.e2e.server import Server
from tests.messages import mentions
from tests.samples import CLASSIFY, FORECAST, SCORE, exams, series, wines

INPUTS = {"fetal_health": ("features", 21), "wine_quality": ("features", 11), "stock_forecast": ("closes", 60)}
OUTPUTS = {
    "fetal_health": {"probabilities": 3},
    "wine_quality": {"quality": 1, "low": 1, "high": 1},
    "stock_forecast": {"close": 10, "low": 10, "high": 10},
}
NUMBERS = {"FP32": np.float32, "FP64": np.float64}


def rows_of(model: str, count: int, start: int = 0) -> Floats:
    """The same rows that `answers_of` asks for."""
    if model == "stock_forecast":
        return np.array([one["closes"] for one in series(count, start)["series"]], np.float32)
    named = exams(count, start)["exams"] if model == "fetal_health" else wines(count, start)["wines"]
    return np.array([list(row.values()) for row in named], np.float32)


def answers_of(server: Server, model: str, count: int) -> dict[str, Floats]:
    """What the model's own route says, as tensors."""
    if model == "fetal_health":
        statuses = httpx.post(f"{server.url}{CLASSIFY}", json=exams(count)).json()
        return {"probabilities": np.array([list(status["probabilities"].values()) for status in statuses])}
    if model == "wine_quality":
        scores = httpx.post(f"{server.url}{SCORE}", json=wines(count)).json()
        found = [(score["quality"], score["interval"]["low"], score["interval"]["high"]) for score in scores]
        return dict(zip(OUTPUTS[model], np.array(found).T.reshape(3, count, 1), strict=True))
    forecasts = httpx.post(f"{server.url}{FORECAST}", json=series(count, horizon=10)).json()
    return {
        name: np.array([[step[name] for step in forecast["path"]] for forecast in forecasts]) for name in OUTPUTS[model]
    }


def tensor(
    model: str, rows: Floats, datatype: str = "FP32", binary: bool = True, name: str | None = None
) -> InferInput:
    asked = InferInput(name or INPUTS[model][0], rows.shape, datatype)
    return asked.set_data_from_numpy(rows.astype(NUMBERS[datatype]), binary_data=binary)


def address(server: Server) -> str:
    return server.url.removeprefix("http://")


def body(rows: Floats, **top: Any) -> dict[str, Any]:
    """A request to the wine's model in JSON."""
    values = {"name": "features", "shape": rows.shape, "datatype": "FP32", "data": rows.ravel().tolist()}
    return {"inputs": [values], **top}


def is_refused(
    triton: InferenceServerClient, model: str, asked: InferInput, status: str, *named: object, **more: Any
) -> None:
    """Assert that a request is answered with this status, and with an error that mentions these values."""
    with pytest.raises(InferenceServerException) as error:
        triton.infer(model, [asked], **more)
    assert error.value.status() == status
    assert mentions(error.value.message(), *named)
