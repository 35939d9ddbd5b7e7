"""What the wine-quality regressor takes and gives: laboratory values of a red wine in, a taster's score out."""

from typing import Any

from pydantic import ConfigDict, Field

from marmita.contract.schema import (
    Answer,
    PredictionId,
    Request,
    Rows,
    Strict,
    also_known_as,
    describe,
    example,
    feature,
    most_keys,
)

NAME = "wine_quality"
HEADERS = {
    "fixed_acidity": "fixed acidity",
    "volatile_acidity": "volatile acidity",
    "citric_acid": "citric acid",
    "residual_sugar": "residual sugar",
    "free_sulfur_dioxide": "free sulfur dioxide",
    "total_sulfur_dioxide": "total sulfur dioxide",
    "ph": "pH",
}
"""The data set's own column names, where they differ from ours."""


class Wine(Strict):
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


EXAMPLE: dict[str, Any] = {"wines": [example(Wine)]}
CONTRACT: dict[str, Any] = {"features": describe(Wine)}


class Wines(Request):
    """Wines to score."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
    most_keys = most_keys(Wine)

    wines: Rows[Wine] = Field(description="The wines, one answer for each")


class Interval(Answer):
    """Where the true score lies, with a stated probability."""

    low: float
    high: float
    coverage: float = Field(description="The share of wines whose true score lies inside", examples=[0.9])


class WineScore(Answer):
    """The score that tasters would give to a wine."""

    quality: float = Field(description="Between 0, very bad, and 10, excellent", examples=[5.6])
    interval: Interval
    unusual: list[str] = Field(description="Features outside the range seen in training: take the score with care")
    model: str = Field(description="The version that answered", examples=["wine_quality:xf2cl6wbqsz7aaav"])
    id: PredictionId = None
