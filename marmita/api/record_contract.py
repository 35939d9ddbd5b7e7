"""What the routes to what the house remembers take and give."""

from datetime import date, datetime
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, JsonValue

from marmita.contract import schema
from marmita.contract.schema import MAX_ROWS, Answer, Strict
from marmita.records.prices.ticker import Ticker

_SINGLE: list[JsonValue] = [{"type": "string"}, {"type": "number"}]

EXAMPLE_LABELS: dict[str, Any] = {"labels": [{"id": "0192f3c41d8a5b7e0c4d9a61e83b2f70-0", "truth": 6}]}
EXAMPLE_LOAD: dict[str, Any] = {"ticker": "MSFT", "start": "2012-01-03", "end": "2013-03-01"}


class TruthOf(Strict):
    """The truth about one predicted row."""

    id: str = Field(description="The `id` that came with the answer", max_length=64)
    truth: Any = Field(
        description="A class, a number, or the closes that followed",
        json_schema_extra={
            "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "array", "items": {"type": "number"}}]
        },
    )


class Labels(schema.Request):
    """What turned out to be true."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_LABELS]})
    most_keys: ClassVar[int] = 4 * MAX_ROWS

    labels: list[TruthOf] = Field(min_length=1, max_length=MAX_ROWS)


class LabelsAdded(Answer):
    """What became of the labels."""

    stored: int = Field(description="New ones, and those that replaced another one")
    unchanged: int = Field(description="Those that were known already")
    unknown: list[str] = Field(description="Ids of no row that is kept: these labels went nowhere")


class ModelScore(Answer):
    """One figure of how good a model was."""

    score: str = Field(description="accuracy, precision, recall, mae, mse, mae_percent or coverage")
    part: str = Field(description="A class, a day of the path, or `all`")
    value: float | None = Field(description="Null if nobody can say")


class FeatureDrift(Answer):
    """How far one feature, or one kind of prediction, is from what it was in training."""

    kind: str = Field(description="input or prediction")
    feature: str
    rows: int = Field(description="Rows that tell something that the others don't")
    psi: float | None = Field(description="Population stability index")
    expected_psi: float | None = Field(description="What chance alone would give")
    statistic: float | None = Field(description="The largest difference between the shares of rows below a decile")
    p: float | None = Field(description="How likely so large a difference is by chance")
    alarm: bool


class ModelQuality(Answer):
    """How good a model was over a window of time. What nobody can say is null."""

    model: str
    version: str
    at: datetime
    window_s: float
    requests: int
    rows: int = Field(description="Predicted rows that are kept from this time")
    looked_at: int = Field(description="How many of them, the newest, the figures are about")
    damaged: int = Field(description="How many of those could not be read")
    labelled: int = Field(description="How many rows the scores are about")
    scores: list[ModelScore]
    confusion: list[list[int]] | None = Field(description="Labelled rows by true class (line) and predicted class")
    error_ratio: float | None = Field(description="The error as a multiple of the one on held-out rows")
    inference_mean_s: float | None = Field(description="Seconds that a request waited for the model")
    inference_p95_s: float | None
    drift: list[FeatureDrift]
    alarms: list[str] = Field(description="What has drifted")
    notes: list[str] = Field(description="What the figures can't say, and why")


class LoadPrices(schema.Request):
    """Which prices to fetch."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_LOAD]})
    most_keys: ClassVar[int] = 16

    ticker: Ticker
    start: date = Field(description="The first day")
    end: date = Field(description="The last day")


class PricesLoaded(Answer):
    """What became of it."""

    ticker: str
    fetched: int = Field(description="Days with trade that were fetched; none, if all days were there already")
    days: int = Field(description="Days with trade that are now there from start to end")
    labelled: int = Field(description="Steps of earlier forecasts whose truth is now known")


class PriceOfDay(Answer):
    """One day of a stock: adjusted for splits, and not for dividends."""

    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int
    dividend: float
    split: float


class StoredPrices(Answer):
    """The days of a stock that are kept."""

    ticker: str
    prices: list[PriceOfDay]


class ModelDecision(Answer):
    """What a shepherd saw of a model, what it decided, and what came of it."""

    id: str
    model: str
    at: datetime
    action: str = Field(description="leave or retrain")
    reasons: list[str]
    evidence: dict[str, Any] = Field(description="The figures that it was made from")
    outcome: str | None = Field(description="left, promoted, rejected, failed or interrupted; null while under way")
    detail: str = Field(description="Why it ended so")
    tag: str | None = Field(description="The version that was made last")
    runs: list[str] = Field(description="The ids of the training runs")
    ended_at: datetime | None


class ShepherdState(Answer):
    """Whether a shepherd is at work, and what was decided last."""

    at_work: bool
    holder: str | None = Field(description="Who is at work, or was last; null if nobody ever was")
    since: datetime | None
    seen_at: datetime | None = Field(description="When it was last there")
    until: datetime | None = Field(description="So long no other one begins")
    decisions: list[ModelDecision] = Field(description="The newest first")
