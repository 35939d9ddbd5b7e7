"""The runner of the fetal-health classifier."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType

from bentos.fetal_health.contract import (
    CONTRACT,
    EXAMPLE,
    NAME,
    STATUSES,
    Exam,
    Exams,
    ExamStatus,
    Status,
)
from bentos.fetal_health.evaluator import EVALUATOR
from marmita.contract.schema import Floats, features, to_array
from marmita.registry.startup import served
from marmita.runtime.loaded_model import flatten
from marmita.runtime.runner import Runner, answer
from marmita.service import Service

FEATURES = features(Exam)


@bentoml.service(service_class=Service, description="Classifies cardiotocograms as normal, suspect or pathological.")
class FetalHealth(Runner):
    """Classifies cardiotocograms."""

    model = served(NAME, CONTRACT)
    evaluator = EVALUATOR
    sample = to_array(Exams.model_validate(EXAMPLE).exams, FEATURES)

    @bentoml.api(route="/fetal-health/classify", input_spec=Exams)
    async def classify(self, exams: list[Exam]) -> Annotated[list[ExamStatus], ContentType("application/json")]:
        """Classify cardiotocograms.

        Each exam gets its most probable class and the probabilities of all three.
        """
        rows = to_array(exams, FEATURES)
        predicted = await self.run(rows)
        statuses = self.outcomes(rows, predicted.outputs)
        probabilities = np.round(predicted.outputs.astype(float), 6).tolist()
        unusual = predicted.by.unusual(rows)
        predicted.by.metrics.answered(len(rows), statuses, flatten(unusual))
        found = [
            {
                "status": status,
                "probabilities": dict(zip(STATUSES, each, strict=True)),
                "unusual": names,
                "model": predicted.by.tag,
            }
            for status, each, names in zip(statuses, probabilities, unusual, strict=True)
        ]
        return answer(predicted.identify(found))

    def outcomes(self, _rows: Floats, outputs: Floats) -> list[Status]:
        return [STATUSES[best] for best in outputs.argmax(axis=1)]
