"""The retraining policy: a pure function from the evidence about a model to a decision with its reasons."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from marmita.records.operations.decisions import LEAVE, RETRAIN
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.registry.card import distinct_figures
from marmita.shepherd.evidence import ChampionEvidence, Evidence
from marmita.shepherd.material import Material

LONGEST_BACKOFF = 8
"""The largest backoff, as a multiple of the first one."""


@dataclass(frozen=True)
class Policy:
    """The thresholds at which a model is retrained."""

    max_age: timedelta
    error_ratio: float
    min_labels: int
    backoff: timedelta


@dataclass(frozen=True)
class PolicyDecision:
    """An action, and the reasons for it."""

    action: str
    reasons: list[Reason]


def decide(evidence: Evidence, policy: Policy, now: datetime) -> PolicyDecision:
    """Decide whether to retrain a model.

    A model without a servable champion is retrained at once. One that is stale, drifts or errs is retrained unless
    there is an obstacle: no new data, a candidate that could not be compared with the champion, or a backoff that has
    not ended.
    """
    champion = evidence.champion
    if champion is None:
        why = f"there is no champion that is fit to be served: {evidence.unfit}"
        return PolicyDecision(RETRAIN, [Reason(ReasonCode.NO_CHAMPION, why)])
    faults = [*evidence.material.staleness(policy.max_age), *_drift(champion), *_excess_error(champion, policy)]
    if not faults:
        return PolicyDecision(LEAVE, _health(champion, evidence.material, policy))
    obstacles = [*evidence.material.obstacles(policy.min_labels), *_pending_backoff(champion, policy, now)]
    return PolicyDecision(LEAVE if obstacles else RETRAIN, [*faults, *obstacles])


def backoff(tries: int, first: timedelta) -> timedelta:
    """Return the backoff after this number of retrainings that promoted nothing."""
    multiple: int = min(2 ** (tries - 1), LONGEST_BACKOFF)
    return first * multiple


def _drift(champion: ChampionEvidence) -> Iterator[Reason]:
    if champion.alarms:
        yield Reason(ReasonCode.DRIFT, f"{', '.join(champion.alarms)} drifted since training")


def _excess_error(champion: ChampionEvidence, policy: Policy) -> Iterator[Reason]:
    if (
        champion.error_ratio is not None
        and champion.labelled >= policy.min_labels
        and champion.error_ratio > policy.error_ratio
    ):
        ratio, bound = distinct_figures(champion.error_ratio, policy.error_ratio, decimals=2)
        why = f"it is wrong too often: {_error(champion, ratio)}, and the limit is {bound} times"
        yield Reason(ReasonCode.HIGH_ERROR, why)


def _pending_backoff(champion: ChampionEvidence, policy: Policy, now: datetime) -> Iterator[Reason]:
    if champion.last_try is None:
        return
    next_try = champion.last_try + backoff(champion.tries, policy.backoff)
    if now < next_try:
        tries = "a retraining" if champion.tries == 1 else f"{champion.tries} retrainings"
        why = f"{tries} since it was made promoted nothing: the backoff lasts until {next_try:%Y-%m-%d %H:%M} UTC"
        yield Reason(ReasonCode.BACKOFF, why)


def _error(champion: ChampionEvidence, ratio: str) -> str:
    return f"the error on {champion.labelled} labelled rows is {ratio} times the one on held-out rows"


def _health(champion: ChampionEvidence, material: Material, policy: Policy) -> list[Reason]:
    """Return the reasons to leave a model: what was measured, and what could not be measured."""
    return [_measured_drift(champion), _measured_error(champion, policy), *material.freshness()]


def _measured_drift(champion: ChampionEvidence) -> Reason:
    if champion.watched:
        return Reason(ReasonCode.NO_DRIFT, f"there is no drift in {champion.looked_at} rows")
    return Reason(ReasonCode.DRIFT_UNKNOWN, f"its drift is unknown: {champion.looked_at} rows are too few")


def _measured_error(champion: ChampionEvidence, policy: Policy) -> Reason:
    if champion.error_ratio is None or champion.labelled < policy.min_labels:
        why = f"its error is unknown: {champion.labelled} labelled rows are too few"
        return Reason(ReasonCode.ERROR_UNKNOWN, why)
    ratio, _ = distinct_figures(champion.error_ratio, policy.error_ratio, decimals=2)
    return Reason(ReasonCode.ACCEPTABLE_ERROR, _error(champion, ratio))
