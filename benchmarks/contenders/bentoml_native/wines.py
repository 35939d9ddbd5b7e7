"""BentoML as its quickstart shows it, with scikit-learn."""

import os

import bentoml
import numpy as np


@bentoml.service
class WineScores:
    """A service that scores wines."""

    wine_model = bentoml.models.BentoModel(os.environ["BENCH_WINE_TAG"])

    def __init__(self) -> None:
        self.model = bentoml.sklearn.load_model(self.wine_model)

    @bentoml.api
    def predict(self, input_data: np.ndarray) -> np.ndarray:
        result: np.ndarray = self.model.predict(input_data.astype(np.float32))
        return result
