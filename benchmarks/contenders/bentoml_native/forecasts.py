"""BentoML as its quickstart shows it, with Keras."""

import os

import bentoml
import keras
import numpy as np


@bentoml.service
class Forecasts:
    """A service that forecasts stock closes."""

    forecaster = bentoml.models.BentoModel(os.environ["BENCH_FORECASTER_TAG"])

    def __init__(self) -> None:
        self.model = keras.saving.load_model(self.forecaster.path_of("model.keras"))

    @bentoml.api
    def predict(self, input_data: np.ndarray) -> dict[str, np.ndarray]:
        result: dict[str, np.ndarray] = self.model.predict(input_data, verbose=0)
        return result
