"""Training runs: what was tried, when, and what came of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from records.bundles import new_id
from records.database import Database
from records.tables import TrainingRun

RUNNING, PROMOTED, REJECTED, FAILED = "running", "promoted", "rejected", "failed"


def begin(database: Database, model: str, id: str | None = None) -> str:
    """A new run, by its id: a new one, unless whoever started it has one for it."""
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
    """What came of it."""
    with database.writing() as session:
        run = session.get_one(TrainingRun, id)
        run.status, run.reason, run.tag = status, reason, tag
        run.scores = scores or {}
        run.ended_at = datetime.now(UTC)


def latest(database: Database, model: str | None = None, most: int = 20) -> Sequence[TrainingRun]:
    """The newest runs first, of one model or of all."""
    query = select(TrainingRun).order_by(TrainingRun.started_at.desc(), TrainingRun.id.desc()).limit(most)
    if model is not None:
        query = query.where(TrainingRun.model == model)
    with database.reading() as session:
        runs = session.scalars(query).all()
        session.expunge_all()
        return runs
