"""Save the compiled wine model in MLflow's format, for `mlflow models serve`."""

import os
import sys
from pathlib import Path

import mlflow.onnx
import onnx

if __name__ == "__main__":
    mlflow.onnx.save_model(
        onnx.load(Path(os.environ["BENCH_WINE"]) / "compiled.onnx"),
        sys.argv[1],
        pip_requirements=[],
        onnx_execution_providers=["CPUExecutionProvider"],
        onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
    )
