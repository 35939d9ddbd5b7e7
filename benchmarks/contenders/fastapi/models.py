"""The compiled models, with the model metrics of this service."""

import json
import os
from collections import Counter as Tally
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
from prometheus_client import Counter, Histogram

SECONDS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 2_000, 5_000, 10_000)

inference_seconds = Histogram("inference_seconds", "Seconds in the model", ["model"], buckets=SECONDS)
batch_rows = Histogram("batch_rows", "Rows that went through the model together", ["model"], buckets=ROWS)
rows_total = Counter("rows_total", "Rows answered", ["model"])
predictions = Counter("predictions_total", "Predictions", ["model", "outcome"])
unusual_inputs = Counter("unusual_inputs_total", "Inputs outside the range seen in training", ["model", "feature"])


class Model:
    """A packed model: its session on one thread, its reference statistics, and its metrics."""

    def __init__(self, folder: str) -> None:
        path = Path(os.environ[folder])
        self.name = path.parent.name
        self.tag = f"{self.name}:{path.name}"
        reference = json.loads((path / "reference.json").read_text())
        self.coverage: float = reference["coverage"]
        self._features = list(reference["features"])
        self._low = np.array([feature["min"] for feature in reference["features"].values()], dtype=np.float32)
        self._high = np.array([feature["max"] for feature in reference["features"].values()], dtype=np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path / "compiled.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._inference_seconds = inference_seconds.labels(self.name)
        self._batch_rows = batch_rows.labels(self.name)

    def __call__(self, rows: Any) -> Any:
        start = perf_counter()
        outputs = np.hstack(self._session.run(None, {self._input: rows}))
        self._inference_seconds.observe(perf_counter() - start)
        self._batch_rows.observe(len(rows))
        return outputs

    def unusual(self, rows: Any) -> list[list[str]]:
        """Return for each row the features outside the range seen in training."""
        found: list[list[str]] = [[] for _ in rows]
        for row, feature in np.argwhere((rows < self._low) | (rows > self._high)):
            found[row].append(self._features[feature])
        return found

    def answered(self, outcomes: Iterable[str], unusual: Iterable[list[str]] = ()) -> None:
        """Count the answers to one request."""
        tally = Tally(outcomes)
        rows_total.labels(self.name).inc(tally.total())
        for outcome, count in tally.items():
            predictions.labels(self.name, outcome).inc(count)
        for feature, count in Tally(name for names in unusual for name in names).items():
            unusual_inputs.labels(self.name, feature).inc(count)
