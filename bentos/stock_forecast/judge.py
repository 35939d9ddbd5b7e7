"""How the stock forecaster is judged: a label is the closes that followed."""

from bentos.stock_forecast.contract import HORIZON, NAME, WINDOW
from records.path_judge import Paths

JUDGE = Paths(NAME, WINDOW, HORIZON)
