"""The shared code of the contenders that run the compiled wine model, so that all of them do the same work."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

INPUT = "features"
OUTPUTS = ("quality", "low", "high")


class WineModel:
    """The compiled wine model on one thread, as the service runs it: rows in, one list for each output."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(Path(os.environ["BENCH_WINE"]) / "compiled.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, rows: Any) -> dict[str, list[float]]:
        outputs = self._session.run(OUTPUTS, {INPUT: np.asarray(rows, dtype=np.float32).reshape(len(rows), -1)})
        return {name: output.ravel().tolist() for name, output in zip(OUTPUTS, outputs, strict=True)}

    def tensors(self, data: list[float], shape: list[int]) -> dict[str, Any]:
        """Return the outputs for flat data of this shape."""
        return self(np.array(data, dtype=np.float32).reshape(shape))
