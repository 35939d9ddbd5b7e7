"""KServe's Python runtime as its documentation shows it: a custom model behind the Open Inference Protocol."""

import os
from typing import Any
from uuid import uuid4

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

from benchmarks.contenders.rows import WineModel


class Wines(Model):
    """A model that scores the rows of one tensor."""

    def __init__(self) -> None:
        super().__init__("wine_quality")
        self.model = WineModel()
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        outputs = []
        for name, data in self.model(payload.inputs[0].as_numpy()).items():
            output = InferOutput(name=name, shape=[len(data), 1], datatype="FP32")
            output.set_data_from_numpy(np.array(data, dtype=np.float32).reshape(-1, 1), binary_data=False)
            outputs.append(output)
        return InferResponse(response_id=payload.id or uuid4().hex, model_name=self.name, infer_outputs=outputs)


if __name__ == "__main__":
    ModelServer(http_port=int(os.environ["BENCH_PORT"]), enable_grpc=False, workers=1).start([Wines()])
