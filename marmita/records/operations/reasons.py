"""The reasons of retraining decisions: a code for programs, and a text for people."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class ReasonCode(StrEnum):
    """The kind of a decision's reason, for programs. Later releases may have more codes."""

    meaning: str
    """What the code says, as a sentence without its full stop."""

    NO_CHAMPION = "no_champion", "The store has no champion that is fit to be served"
    STALE = "stale", "Stored prices are newer than the champion's by `MARMITA_RETRAIN_MAX_AGE`"
    AGE_UNKNOWN = "age_unknown", "The champion's card lacks the last day of its prices, and so it counts as stale"
    DRIFT = "drift", "Inputs or predictions have drifted since training"
    HIGH_ERROR = "high_error", "The error on labelled rows is above `MARMITA_RETRAIN_ERROR_RATIO`"
    TOO_FEW_NEW_LABELS = (
        "too_few_new_labels",
        "Fewer rows than `MARMITA_RETRAIN_MIN_LABELS` were labelled since the champion's training",
    )
    NO_TICKER = "no_ticker", "`MARMITA_SHEPHERD_TICKER` names no stock to learn from"
    NO_PRICES = "no_prices", "No prices of the stock are stored"
    NO_NEWER_PRICES = "no_newer_prices", "The champion has learnt from all stored prices"
    NOT_COMPARABLE = "not_comparable", "The champion has seen days that a candidate would be scored on"
    BACKOFF = "backoff", "A retraining promoted nothing, and its backoff has not ended"
    NO_DRIFT = "no_drift", "Inputs and predictions are as in training"
    DRIFT_UNKNOWN = "drift_unknown", "There are too few rows to measure drift"
    ACCEPTABLE_ERROR = "acceptable_error", "The error on labelled rows is within `MARMITA_RETRAIN_ERROR_RATIO`"
    ERROR_UNKNOWN = "error_unknown", "There are too few labelled rows to measure the error"
    FRESH = "fresh", "Stored prices are not newer than the champion's by `MARMITA_RETRAIN_MAX_AGE`"
    PRICES_UNAVAILABLE = "prices_unavailable", "Missing prices could not be loaded, so it was decided without them"
    RETENTION = "retention", "Old versions exceed `MARMITA_RETRAIN_KEEP_VERSIONS`"
    FORCED = "forced", "A version was promoted by hand, past the gate"
    UNKNOWN = "unknown", "The decision was stored without codes, or with a code that only newer releases have"

    def __new__(cls, code: str, meaning: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    @classmethod
    def of(cls, stored: str) -> "ReasonCode":
        """Return the code with this name, or "unknown" for the code of a newer release."""
        return next((code for code in cls if code == stored), cls.UNKNOWN)


@dataclass(frozen=True)
class Reason:
    """One reason of a decision."""

    code: ReasonCode
    text: str

    def __str__(self) -> str:
        return f"[{self.code}] {self.text}"
