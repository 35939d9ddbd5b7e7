"""The card of a model: what it was made from and how good it is on data that it cannot have seen."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Part):
    """What the model was trained on."""

    source: str
    licence: str
    fingerprint: str = Field(description="SHA-256 of the rows as they went into training")
    rows: int = Field(description="Rows that the model was fitted on")
    rows_held_out: int = Field(description="Rows that it was scored on and has not seen")


class Headline(_Part):
    """The one score that models of a kind are compared by."""

    metric: str
    value: float
    baseline: str = Field(description="The best of the baselines")
    baseline_value: float
    higher_is_better: bool

    def better(self, a: float, b: float) -> bool:
        """Whether a score of `a` beats one of `b`."""
        return a > b if self.higher_is_better else a < b


class Verdict(_Part):
    """Whether the model became the champion, and why."""

    promoted: bool
    reason: str


class Card(_Part):
    """Everything one needs to judge a model and to make it again."""

    model: str
    about: str
    made: datetime
    seed: int
    data: Data
    parameters: dict[str, Any]
    libraries: dict[str, str]
    headline: Headline
    held_out: dict[str, Any] = Field(description="Scores on the held-out rows")
    baselines: dict[str, dict[str, Any]] = Field(description="The baselines' scores on the same rows")
    cross_validation: dict[str, Any] = Field(default_factory=dict, description="Scores of the recipe, if it has them")
    compiled_difference: float = Field(description="The largest difference of the compiled model from the native one")
    verdict: Verdict
