"""Retraining decisions: the shepherd's evidence, action and outcome for a model. Forced promotions are among them.

A decision is stored before its action starts, and closed afterwards. One that stays open shows that its process died.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select

from marmita.records.database.database import Database
from marmita.records.database.tables import Decision
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.records.predictions.bundles import new_id

LEAVE, RETRAIN, DELETE = "leave", "retrain", "delete"
PROMOTE = "promote"
"""A promotion by hand, without the gate."""
LEFT, PROMOTED, REJECTED, FAILED, INTERRUPTED = "left", "promoted", "rejected", "failed", "interrupted"
DELETED = "deleted"

_MAX_FAILURES = 100
"""The maximum number of consecutive failures that are counted."""


def begin(
    database: Database,
    model: str,
    action: str,
    reasons: Sequence[Reason],
    evidence: dict[str, Any],
    runs: Sequence[str] = (),
) -> str:
    """Store a new decision and return its id. A decision to leave the model is closed at once."""
    now = datetime.now(UTC)
    leaves = action == LEAVE
    decision = Decision(
        id=new_id(),
        model=model,
        at=now,
        action=action,
        reasons=[reason.text for reason in reasons],
        reason_codes=[reason.code for reason in reasons],
        evidence=evidence,
        runs=list(runs),
        outcome=LEFT if leaves else None,
        detail="",
        tag=None,
        ended_at=now if leaves else None,
    )
    id = decision.id
    with database.writing() as session:
        session.add(decision)
    return id


def end(database: Database, id: str, outcome: str, detail: str, tag: str | None = None) -> None:
    """Close a decision with its outcome."""
    with database.writing() as session:
        decision = session.get_one(Decision, id)
        decision.outcome, decision.detail, decision.tag = outcome, detail, tag
        decision.ended_at = datetime.now(UTC)


def latest(database: Database, model: str | None = None, most: int = 20) -> Sequence[Decision]:
    """Return the newest decisions about one model or all models, newest first."""
    query = select(Decision).order_by(Decision.at.desc(), Decision.id.desc()).limit(most)
    return _fetch(database, query if model is None else query.where(Decision.model == model))


def reasons_of(decision: Decision) -> list[Reason]:
    """Return the reasons of a stored decision. Those of a decision without codes are unknown to programs."""
    codes = decision.reason_codes or [ReasonCode.UNKNOWN] * len(decision.reasons)
    return [Reason(ReasonCode.of(code), text) for code, text in zip(codes, decision.reasons, strict=True)]


def still_open(database: Database) -> Sequence[Decision]:
    """Return the open decisions, oldest first."""
    return _fetch(database, select(Decision).where(Decision.outcome.is_(None)).order_by(Decision.at))


def last_made(database: Database) -> datetime | None:
    """Return the time of the shepherd's last decision. A working shepherd decides about each model in each cycle."""
    with database.reading() as session:
        return session.execute(select(func.max(Decision.at)).where(Decision.action != PROMOTE)).scalar()


def failures(database: Database, models: Collection[str]) -> dict[str, int]:
    """Count each model's retrainings that failed or were interrupted since the last one that completed."""
    return {model: _count_failures(database, model) for model in models}


def without_promotion(database: Database, model: str, champion: str, since: datetime) -> Sequence[Decision]:
    """Return the closed retrainings since the champion was made that did not produce it, oldest first.

    They include one whose champion was rolled back, as it would have the same result again.
    """
    tries = select(Decision).where(Decision.model == model, Decision.action == RETRAIN, Decision.at > since)
    tries = tries.where(Decision.outcome.is_not(None)).order_by(Decision.at)
    return [one for one in _fetch(database, tries) if one.tag != champion]


def _count_failures(database: Database, model: str) -> int:
    ended = select(Decision.outcome).where(Decision.model == model, Decision.action == RETRAIN)
    ended = (
        ended.where(Decision.outcome.is_not(None)).order_by(Decision.at.desc(), Decision.id.desc()).limit(_MAX_FAILURES)
    )
    with database.reading() as session:
        outcomes = session.scalars(ended).all()
    completed = [place for place, outcome in enumerate(outcomes) if outcome in (PROMOTED, REJECTED)]
    return completed[0] if completed else len(outcomes)


def _fetch(database: Database, query: Select[Decision]) -> Sequence[Decision]:
    with database.reading() as session:
        decisions = session.scalars(query).all()
        session.expunge_all()
        return decisions
