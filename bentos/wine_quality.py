"""Red wines: laboratory values in, the score that tasters would give out."""

import bentoml
from pydantic import ConfigDict

from marmita.contract.rows import Row, also_known_as, feature
from marmita.runtime.tables import Regressor, serves
from marmita.service import Service

HEADERS = {
    "fixed_acidity": "fixed acidity",
    "volatile_acidity": "volatile acidity",
    "citric_acid": "citric acid",
    "residual_sugar": "residual sugar",
    "free_sulfur_dioxide": "free sulfur dioxide",
    "total_sulfur_dioxide": "total sulfur dioxide",
    "ph": "pH",
}
"""The data set's column names, where they differ from the features'."""


class Wine(Row):
    """One red wine's laboratory values."""

    model_config = ConfigDict(alias_generator=also_known_as(HEADERS))

    fixed_acidity: float = feature("Tartaric acid", unit="g/L", low=0, high=100, example=7.4)
    volatile_acidity: float = feature("Acetic acid", unit="g/L", low=0, high=20, example=0.7)
    citric_acid: float = feature("Citric acid", unit="g/L", low=0, high=20, example=0.0)
    residual_sugar: float = feature("Sugar left after fermentation", unit="g/L", low=0, high=500, example=1.9)
    chlorides: float = feature("Sodium chloride", unit="g/L", low=0, high=20, example=0.076)
    free_sulfur_dioxide: float = feature("Free sulfur dioxide", unit="mg/L", low=0, high=2000, example=11.0)
    total_sulfur_dioxide: float = feature("Total sulfur dioxide", unit="mg/L", low=0, high=2000, example=34.0)
    density: float = feature("Density", unit="g/mL", low=0.5, high=2, example=0.9978)
    ph: float = feature("Acidity on the pH scale", unit="pH", low=0, high=14, example=3.51)
    sulphates: float = feature("Potassium sulphate", unit="g/L", low=0, high=20, example=0.56)
    alcohol: float = feature("Alcohol", unit="% by volume", low=0, high=100, example=9.4)


@bentoml.service(service_class=Service)
@serves(Wine, route="/wine-quality/score", rows="wines", operation="score")
class WineQuality(Regressor):
    """Score red wines.

    Each wine gets the score that tasters would give it, from 0 to 10, and an interval that holds the true score
    of nine wines in ten.
    """

    target = "quality"
    about_target = "Between 0, very bad, and 10, excellent"
    answer_name = "WineScore"
    low, high = 0, 10
