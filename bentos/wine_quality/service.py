"""The runner of the wine-quality regressor."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType

from bentos.wine_quality.contract import CONTRACT, EXAMPLE, NAME, Interval, Wine, Wines, WineScore
from marmita.contract import features, to_array
from marmita.runner import FeatureRanges, Runner, flatten
from marmita.service import Service
from marmita.store import served

FEATURES = features(Wine)


@bentoml.service(service_class=Service, description="Scores red wines from their laboratory values.")
class WineQuality(Runner):
    """Scores red wines."""

    model = served(NAME, CONTRACT)
    sample = to_array(Wines.model_validate(EXAMPLE).wines, FEATURES)

    def __init__(self) -> None:
        super().__init__()
        self._ranges = FeatureRanges(self.reference)
        self._coverage = self.reference["coverage"]

    @bentoml.api(route="/wine-quality/score", input_spec=Wines)
    async def score(self, wines: list[Wine]) -> Annotated[list[WineScore], ContentType("application/json")]:
        """Score red wines.

        Each wine gets the score that tasters would give it, from 0 to 10, and an interval that holds the true score
        of nine wines in ten.
        """
        rows = to_array(wines, FEATURES)
        outputs = np.round((await self.run(rows)).astype(float), 4).tolist()
        unusual = self._ranges.unusual(rows)
        self.metrics.answered((f"{quality:.0f}" for quality, _, _ in outputs), flatten(unusual))
        return [
            WineScore(
                quality=quality,
                interval=Interval(low=low, high=high, coverage=self._coverage),
                unusual=names,
                model=self.tag,
            )
            for (quality, low, high), names in zip(outputs, unusual, strict=True)
        ]
