"""The card of a model: what it was made from and how good it is on data that it cannot have seen."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_MAX_DECIMALS = 17
"""Enough to tell apart any two double-precision numbers between 0 and 1 that are not tiny."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Part):
    """The data that the model was trained on."""

    source: str
    licence: str
    fingerprint: str = Field(description="SHA-256 of the rows as they went into training")
    rows: int = Field(description="Rows that the model was fitted on")
    rows_held_out: int = Field(description="Held-out rows that it was scored on")
    held_out_from: date | None = Field(default=None, description="The first held-out day, of a series")
    until: date | None = Field(default=None, description="The last day of its data, of a series")
    labels_read: datetime | None = Field(default=None, description="The time at which its labels were read")


class Headline(_Part):
    """The one score that models of a kind are compared by.

    A model must beat its best baseline; with a `tolerance` it must not be worse by more than that share.
    """

    metric: str
    value: float
    baseline: str = Field(description="The best of the baselines")
    baseline_value: float
    higher_is_better: bool
    tolerance: float = 0.0

    def beats_baseline(self) -> bool:
        if not self.tolerance:
            return self.better(self.value, self.baseline_value)
        allowed = 1 - self.tolerance if self.higher_is_better else 1 + self.tolerance
        return self.better(self.value, self.baseline_value * allowed)

    def better(self, a: float, b: float) -> bool:
        """Tell whether a score of `a` beats one of `b`."""
        return a > b if self.higher_is_better else a < b


class GateVerdict(_Part):
    """The gate's decision whether the model became the champion, with its reason."""

    promoted: bool
    reason: str


class Card(_Part):
    """All that is needed to compare a model with others, and to reproduce it with the code of its time."""

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
    compiled_difference: float = Field(
        description="The largest difference of the ONNX model's outputs from the native ones"
    )
    compiled_rows: int | None = Field(
        default=None, description="Rows on which they were compared; older cards don't have it"
    )
    verdict: GateVerdict


def distinct_figures(*values: float, decimals: int = 4) -> list[str]:
    """Format figures for a comparison, with more decimals if different figures would look equal."""
    for more in range(_MAX_DECIMALS - decimals):
        written = [f"{value:.{decimals + more}f}" for value in values]
        if len(set(written)) >= len(set(values)):
            return written
    return [repr(value) for value in values]
