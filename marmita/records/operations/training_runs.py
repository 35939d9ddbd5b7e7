"""Training runs: the trainings of candidates, with their times and outcomes."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from marmita.records.database.database import Database
from marmita.records.database.tables import TrainingRun
from marmita.records.predictions.bundles import new_id

RUNNING, PROMOTED, REJECTED, FAILED = "running", "promoted", "rejected", "failed"

INTERRUPTED = "interrupted"
"""The status of a run that was killed. The process that started the run sets it."""


def begin(database: Database, model: str, id: str | None = None) -> str:
    """Store a new run and return its id. The process that starts the run may pass an id."""
    id = id or new_id()
    with database.writing() as session:
        session.add(
            TrainingRun(
                id=id,
                model=model,
                status=RUNNING,
                reason="",
                tag=None,
                started_at=datetime.now(UTC),
                ended_at=None,
                scores={},
            )
        )
    return id


def end(
    database: Database, id: str, status: str, reason: str, tag: str | None = None, scores: dict[str, Any] | None = None
) -> None:
    """Close a run with its outcome."""
    with database.writing() as session:
        run = session.get_one(TrainingRun, id)
        run.status, run.reason, run.tag = status, reason, tag
        run.scores = scores or {}
        run.ended_at = datetime.now(UTC)


def latest(database: Database, model: str | None = None, most: int = 20) -> Sequence[TrainingRun]:
    """Return the newest runs of one model or all models, newest first."""
    query = select(TrainingRun).order_by(TrainingRun.started_at.desc(), TrainingRun.id.desc()).limit(most)
    if model is not None:
        query = query.where(TrainingRun.model == model)
    with database.reading() as session:
        runs = session.scalars(query).all()
        session.expunge_all()
        return runs


def known(database: Database, ids: Collection[str]) -> Sequence[TrainingRun]:
    """Return the runs with these ids that have begun, oldest first."""
    with database.reading() as session:
        found = select(TrainingRun).where(TrainingRun.id.in_(ids)).order_by(TrainingRun.started_at, TrainingRun.id)
        runs = session.scalars(found).all()
        session.expunge_all()
        return runs


def end_running(database: Database, ids: Collection[str], status: str, reason: str) -> None:
    """Close those of these runs that are still open, for processes that can't do it themselves."""
    with database.writing() as session:
        end_running_in(session, ids, status, reason)


def end_running_in(session: Session, ids: Collection[str], status: str, reason: str) -> None:
    """Do the same inside a transaction."""
    left = update(TrainingRun).where(TrainingRun.id.in_(ids), TrainingRun.status == RUNNING)
    session.execute(left.values(status=status, reason=reason, ended_at=datetime.now(UTC)))
