"""Workloads: the same rows of the reference data for every contender."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bentos.stock_forecast.contract import HORIZON, WINDOW
from bentos.wine_quality import HEADERS, Wine
from marmita.contract.rows import Floats, features
from marmita.registry.onnx_model import OnnxModel
from marmita.training.rows import read_rows
from training import DATA

ASKED_HORIZON = 5
FEATURES = features(Wine)


@dataclass(frozen=True)
class Workload:
    """A number of clients and of rows per request."""

    name: str
    model: str
    rows: int
    clients: int
    distinct: int
    """The number of different requests, which are sent in turn."""


ONE_WINE = Workload("one wine, 1 client", "wine_quality", rows=1, clients=1, distinct=64)
WINES_TOGETHER = Workload("one wine, 32 clients", "wine_quality", rows=1, clients=32, distinct=64)
MANY_WINES = Workload("1,000 wines, 4 clients", "wine_quality", rows=1000, clients=4, distinct=4)
ONE_FORECAST = Workload("one forecast, 1 client", "stock_forecast", rows=1, clients=1, distinct=32)
FORECASTS_TOGETHER = Workload("one forecast, 64 clients", "stock_forecast", rows=1, clients=64, distinct=64)

WINES = (ONE_WINE, WINES_TOGETHER, MANY_WINES)
WORKLOADS = (*WINES, ONE_FORECAST, FORECASTS_TOGETHER)


@dataclass(frozen=True)
class Batch:
    """The rows of one request, with the ONNX model's outputs as the expected answer."""

    model: str
    rows: list[list[float]]
    expected: Floats


def batches(workload: Workload, models: Mapping[str, Path]) -> list[Batch]:
    """Return the batches of a workload."""
    found = []
    data = _wines() if workload.model == "wine_quality" else _windows()
    for number in range(workload.distinct):
        start = number * workload.rows
        asked = [data[index % len(data)] for index in range(start, start + workload.rows)]
        found.append(Batch(workload.model, asked, expected(workload.model, asked, models[workload.model])))
    return found


def expected(model: str, asked: list[list[float]], folder: Path) -> Floats:
    outputs = _onnx_model(folder)(np.array(asked, dtype=np.float32))
    if model == "stock_forecast":
        return outputs.reshape(len(asked), 3, HORIZON)[:, :, :ASKED_HORIZON].reshape(len(asked), -1)
    return outputs


@cache
def _onnx_model(folder: Path) -> OnnxModel:
    return OnnxModel((folder / "compiled.onnx").read_bytes())


@cache
def _wines() -> list[list[float]]:
    return [
        [wine[name] for name in FEATURES] for wine in read_rows(DATA / "winequality-red.csv", FEATURES, HEADERS, ";")
    ]


@cache
def _windows() -> list[list[float]]:
    closes = [row["Adj Close"] for row in read_rows(DATA / "msft_daily.csv", ["Adj Close"])]
    return [closes[start : start + WINDOW] for start in range(0, len(closes) - WINDOW, WINDOW // 4)]
