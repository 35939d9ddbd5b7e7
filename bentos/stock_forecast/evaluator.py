"""How the stock forecaster is judged: a label is the closes that followed."""

from bentos.stock_forecast.contract import HORIZON, NAME, WINDOW
from marmita.records.quality.path_evaluator import PathEvaluator

EVALUATOR = PathEvaluator(NAME, WINDOW, HORIZON)
