"""How the wine-quality regressor is judged: a label is a taster's score."""

from bentos.wine_quality.contract import NAME, Wine
from marmita.contract import features
from records.judging import Regressor

JUDGE = Regressor(NAME, features(Wine), target="quality", low=0, high=10)
