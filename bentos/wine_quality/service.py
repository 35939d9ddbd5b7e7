"""The runner of the wine-quality regressor."""

from collections.abc import Iterable
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType

from bentos.wine_quality.contract import CONTRACT, EXAMPLE, NAME, Wine, Wines, WineScore
from bentos.wine_quality.evaluator import EVALUATOR
from marmita.contract.schema import Floats, features, to_array
from marmita.registry.startup import served
from marmita.runtime.loaded_model import flatten
from marmita.runtime.runner import Runner, answer
from marmita.service import Service

FEATURES = features(Wine)


@bentoml.service(service_class=Service, description="Scores red wines from their laboratory values.")
class WineQuality(Runner):
    """Scores red wines."""

    model = served(NAME, CONTRACT)
    evaluator = EVALUATOR
    sample = to_array(Wines.model_validate(EXAMPLE).wines, FEATURES)

    @bentoml.api(route="/wine-quality/score", input_spec=Wines)
    async def score(self, wines: list[Wine]) -> Annotated[list[WineScore], ContentType("application/json")]:
        """Score red wines.

        Each wine gets the score that tasters would give it, from 0 to 10, and an interval that holds the true score
        of nine wines in ten.
        """
        rows = to_array(wines, FEATURES)
        predicted = await self.run(rows)
        outputs = np.round(predicted.outputs.astype(float), 4).tolist()
        unusual = predicted.by.unusual(rows)
        predicted.by.metrics.answered(len(rows), _rounded(quality for quality, _, _ in outputs), flatten(unusual))
        coverage = predicted.by.reference["coverage"]
        scores = [
            {
                "quality": quality,
                "interval": {"low": low, "high": high, "coverage": coverage},
                "unusual": names,
                "model": predicted.by.tag,
            }
            for (quality, low, high), names in zip(outputs, unusual, strict=True)
        ]
        return answer(predicted.identify(scores))

    def outcomes(self, _rows: Floats, outputs: Floats) -> Iterable[str]:
        return _rounded(outputs[:, 0].tolist())


def _rounded(qualities: Iterable[float]) -> list[str]:
    return [f"{quality:.0f}" for quality in qualities]
