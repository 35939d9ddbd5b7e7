"""Decisions about models: what a shepherd saw, what it did about it, and what came of it; and forced promotions.

A decision is kept before anything is done, and closed afterwards: one that stays open shows that who made it is gone.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select

from marmita.records.database.database import Database
from marmita.records.database.tables import Decision
from marmita.records.predictions.bundles import new_id

LEAVE, RETRAIN, DELETE = "leave", "retrain", "delete"
PROMOTE = "promote"
"""By hand, past the gate."""
LEFT, PROMOTED, REJECTED, FAILED, INTERRUPTED = "left", "promoted", "rejected", "failed", "interrupted"
DELETED = "deleted"

_MOST_FAILURES = 100
"""More of them in a row say no more."""


def begin(
    database: Database,
    model: str,
    action: str,
    reasons: Sequence[str],
    evidence: dict[str, Any],
    runs: Sequence[str] = (),
) -> str:
    """A new decision, by its id. One to leave a model as it is needs no end."""
    now = datetime.now(UTC)
    leaves = action == LEAVE
    decision = Decision(
        id=new_id(),
        model=model,
        at=now,
        action=action,
        reasons=list(reasons),
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
    """What came of it."""
    with database.writing() as session:
        decision = session.get_one(Decision, id)
        decision.outcome, decision.detail, decision.tag = outcome, detail, tag
        decision.ended_at = datetime.now(UTC)


def latest(database: Database, model: str | None = None, most: int = 20) -> Sequence[Decision]:
    """The newest first, of one model or of all."""
    query = select(Decision).order_by(Decision.at.desc(), Decision.id.desc()).limit(most)
    return _found(database, query if model is None else query.where(Decision.model == model))


def still_open(database: Database) -> Sequence[Decision]:
    """Those of which nobody knows yet what came, the oldest first."""
    return _found(database, select(Decision).where(Decision.outcome.is_(None)).order_by(Decision.at))


def last_made(database: Database) -> datetime | None:
    """When a shepherd made its newest: one that is at work makes one about each model in each of its rounds."""
    with database.reading() as session:
        return session.execute(select(func.max(Decision.at)).where(Decision.action != PROMOTE)).scalar()


def failures(database: Database, models: Collection[str]) -> dict[str, int]:
    """How many of each model's retrainings failed or were interrupted, since one went through to its end."""
    return {model: _failures(database, model) for model in models}


def fruitless(database: Database, model: str, champion: str, since: datetime) -> Sequence[Decision]:
    """The retrainings since the champion was made that did not make it, the oldest first.

    One that made a champion which was taken back is among them: it would come to the same again.
    """
    tries = select(Decision).where(Decision.model == model, Decision.action == RETRAIN, Decision.at > since)
    tries = tries.where(Decision.outcome.is_not(None)).order_by(Decision.at)
    return [one for one in _found(database, tries) if one.tag != champion]


def _failures(database: Database, model: str) -> int:
    ended = select(Decision.outcome).where(Decision.model == model, Decision.action == RETRAIN)
    ended = (
        ended.where(Decision.outcome.is_not(None))
        .order_by(Decision.at.desc(), Decision.id.desc())
        .limit(_MOST_FAILURES)
    )
    with database.reading() as session:
        outcomes = session.scalars(ended).all()
    went_through = [place for place, outcome in enumerate(outcomes) if outcome in (PROMOTED, REJECTED)]
    return went_through[0] if went_through else len(outcomes)


def _found(database: Database, query: Select[Decision]) -> Sequence[Decision]:
    with database.reading() as session:
        decisions = session.scalars(query).all()
        session.expunge_all()
        return decisions
