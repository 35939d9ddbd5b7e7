"""Inference with an ONNX model on one thread: an array of rows in, one array out."""

import ctypes

import numpy as np
import onnxruntime

from marmita.contract.rows import Floats

onnxruntime.disable_telemetry_events()


class OnnxModel:
    """An ONNX model with one input of rows. Its outputs are concatenated by columns, in the graph's order."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (rows,) = self._session.get_inputs()
        self.input: str = rows.name
        self.width: int = rows.shape[1]
        self.outputs: dict[str, int] = {output.name: output.shape[1] for output in self._session.get_outputs()}
        """The number of columns of each output."""
        _trim_memory()

    def __call__(self, rows: Floats) -> Floats:
        outputs = self._session.run(None, {self.input: rows})
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1)


def _trim_memory() -> None:
    """Make glibc return the memory that parsing a model took: 50 MB per worker for three models.

    Other C libraries have no such call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
