"""How the wine-quality regressor is judged: a label is a taster's score."""

from bentos.wine_quality.contract import NAME, Wine
from marmita.contract.schema import features
from marmita.records.quality.evaluators import ValueEvaluator

EVALUATOR = ValueEvaluator(NAME, features(Wine), target="quality", low=0, high=10)
