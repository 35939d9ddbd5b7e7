"""The runner of the fetal-health classifier."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType

from bentos.fetal_health.contract import CONTRACT, EXAMPLE, NAME, STATUSES, Exam, Exams, ExamStatus, Probabilities
from marmita.contract import features, to_array
from marmita.runner import FeatureRanges, Runner, flatten
from marmita.service import Service
from marmita.store import served

FEATURES = features(Exam)


@bentoml.service(service_class=Service, description="Classifies cardiotocograms as normal, suspect or pathological.")
class FetalHealth(Runner):
    """Classifies cardiotocograms."""

    model = served(NAME, CONTRACT)
    sample = to_array(Exams.model_validate(EXAMPLE).exams, FEATURES)

    def __init__(self) -> None:
        super().__init__()
        self._ranges = FeatureRanges(self.reference)

    @bentoml.api(route="/fetal-health/classify", input_spec=Exams)
    async def classify(self, exams: list[Exam]) -> Annotated[list[ExamStatus], ContentType("application/json")]:
        """Classify cardiotocograms.

        Each exam gets its most probable class and the probabilities of all three.
        """
        rows = to_array(exams, FEATURES)
        outputs = await self.run(rows)
        statuses = [STATUSES[best] for best in outputs.argmax(axis=1)]
        probabilities = np.round(outputs.astype(float), 6).tolist()
        unusual = self._ranges.unusual(rows)
        self.metrics.answered(statuses, flatten(unusual))
        return [
            ExamStatus(
                status=status,
                probabilities=Probabilities(normal=normal, suspect=suspect, pathological=pathological),
                unusual=names,
                model=self.tag,
            )
            for status, (normal, suspect, pathological), names in zip(statuses, probabilities, unusual, strict=True)
        ]
