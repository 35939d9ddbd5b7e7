"""Running a compiled model: ONNX in, one array out, on one thread."""

from pathlib import Path

import numpy as np
import onnxruntime

from marmita.contract import Floats


class Compiled:
    """An ONNX model with one input of rows. Its outputs are laid side by side, in the graph's order."""

    def __init__(self, model: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, rows: Floats) -> Floats:
        outputs = self._session.run(None, {self._input: rows})
        return outputs[0] if len(outputs) == 1 else np.hstack(outputs)
