"""Running a compiled model: ONNX in, one array out, on one thread."""

import ctypes

import numpy as np
import onnxruntime

from marmita.contract.rows import Floats

onnxruntime.disable_telemetry_events()


class OnnxModel:
    """An ONNX model with one input of rows. Its outputs are laid side by side, in the graph's order."""

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
        """The columns of each output."""
        _give_back_memory()

    def __call__(self, rows: Floats) -> Floats:
        outputs = self._session.run(None, {self.input: rows})
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1)


def _give_back_memory() -> None:
    """Let glibc return what parsing a model took: for three models that is 50 MB a worker.

    Other C libraries have no such call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
