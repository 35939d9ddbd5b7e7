"""MLServer as its documentation shows it: a custom runtime behind the Open Inference Protocol."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.contenders.rows import WineModel


class Wines(MLModel):
    """A runtime that scores the rows of one tensor."""

    async def load(self) -> bool:
        self.model = WineModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        outputs = [
            NumpyCodec.encode_output(name, np.array(data, dtype=np.float32).reshape(-1, 1))
            for name, data in self.model(rows).items()
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
