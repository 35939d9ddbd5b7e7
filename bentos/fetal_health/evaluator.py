"""How the fetal-health classifier is judged: a label is a class."""

from bentos.fetal_health.contract import NAME, STATUSES, Exam
from marmita.contract.schema import features
from marmita.records.quality.evaluators import ClassEvaluator

EVALUATOR = ClassEvaluator(NAME, features(Exam), STATUSES)
