"""The contract of this service, written by hand for FastAPI: the same fields, the same bounds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

WINDOW, HORIZON = 60, 10
MAX_ROWS, MAX_CLOSES = 10_000, 10_000

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Strict(BaseModel):
    """A part of a request. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Wine(Strict):
    """One red wine's laboratory values."""

    fixed_acidity: Annotated[Number, Field(ge=0, le=100)]
    volatile_acidity: Annotated[Number, Field(ge=0, le=20)]
    citric_acid: Annotated[Number, Field(ge=0, le=20)]
    residual_sugar: Annotated[Number, Field(ge=0, le=500)]
    chlorides: Annotated[Number, Field(ge=0, le=20)]
    free_sulfur_dioxide: Annotated[Number, Field(ge=0, le=2000)]
    total_sulfur_dioxide: Annotated[Number, Field(ge=0, le=2000)]
    density: Annotated[Number, Field(ge=0.5, le=2)]
    ph: Annotated[Number, Field(ge=0, le=14)]
    sulphates: Annotated[Number, Field(ge=0, le=20)]
    alcohol: Annotated[Number, Field(ge=0, le=100)]


class Wines(Strict):
    """Wines to score."""

    wines: list[Wine] = Field(min_length=1, max_length=MAX_ROWS)


class Interval(BaseModel):
    """The interval of the true score."""

    low: float
    high: float
    coverage: float


class WineScore(BaseModel):
    """The score of a wine."""

    quality: float
    interval: Interval
    unusual: list[str]
    model: str


class Series(Strict):
    """The recent past of one stock."""

    closes: list[Annotated[Number, Field(ge=1e-6, le=1e9)]] = Field(min_length=WINDOW, max_length=MAX_CLOSES)
    horizon: Annotated[int, Field(ge=1, le=HORIZON)] = 5


class AllSeries(Strict):
    """Series to forecast."""

    series: list[Series] = Field(min_length=1, max_length=MAX_ROWS)


class Step(BaseModel):
    """One day of a forecast."""

    step: int
    close: float
    low: float
    high: float


class Forecast(BaseModel):
    """The path of the next days."""

    path: list[Step]
    coverage: float
    model: str
