"""The queue of trainings. Any number of trainers take them, each another one, oldest first.

A trainer proves by its lease that it is alive. A training whose trainer died is taken again, at most `MAX_ATTEMPTS`
times in all. Only the database's clock counts.
"""

import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from marmita.records.database.database import Database
from marmita.records.database.tables import Training
from marmita.records.operations import leases, training_runs
from marmita.records.predictions.bundles import new_id

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"

MAX_ATTEMPTS = 2
"""How often a training is taken. One whose trainers die may be what kills them."""
_DIED = "the trainer died or lost the database"
_CANCELLED = "the training was cancelled"

log = logging.getLogger(__name__)


class StopCode(StrEnum):
    """Why a training ended without an outcome of its own."""

    INTERRUPTED = "interrupted"
    """Its trainers died, or lost the database."""
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    DATASET_MISSING = "dataset_missing"
    CRASHED = "crashed"


class QueueFullError(Exception):
    """A queue that takes no more trainings now."""


class EndedError(Exception):
    """A training that has ended, and so can't be cancelled."""


class TrainingOutcome(NamedTuple):
    """How a training ended."""

    state: str
    tag: str | None = None
    """The tag of the new version of a training that is done."""
    error: dict[str, Any] | None = None
    """The error of one that failed, with its `code` and its `message`."""

    @classmethod
    def stopped(cls, code: StopCode, message: str) -> "TrainingOutcome":
        return cls(FAILED, error={"code": code, "message": message})


def add(database: Database, name: str, order: dict[str, Any], dataset: str, file: str, most: int) -> Training:
    """Add a training to the queue, and return it. Raise `QueueFullError` if this many are waiting."""
    with database.writing() as session:
        waiting = session.execute(select(func.count()).where(Training.state == QUEUED)).scalar_one()
        if waiting >= most:
            raise QueueFullError(f"{waiting} trainings are waiting")
        training = Training(
            id=new_id(),
            name=name,
            order=order,
            dataset=dataset,
            file=file,
            state=QUEUED,
            at=leases.database_time(session),
            started_at=None,
            ended_at=None,
            attempts=0,
            holder=None,
            run=None,
            cancelling=False,
            progress=None,
            tag=None,
            error=None,
        )
        session.add(training)
        return _detached(session, training)


def get(database: Database, id: str) -> Training | None:
    """Return a training, or None if there is none with this id."""
    with database.reading() as session:
        training = session.get(Training, id)
        return _detached(session, training) if training else None


def latest(database: Database, most: int) -> Sequence[Training]:
    """Return the newest trainings, newest first."""
    with database.reading() as session:
        found = session.scalars(select(Training).order_by(Training.id.desc()).limit(most)).all()
        session.expunge_all()
        return found


def datasets(database: Database) -> set[str]:
    """Return the names of all datasets that trainings were ordered with."""
    with database.reading() as session:
        return set(session.scalars(select(Training.dataset).distinct()))


def count_trainers(database: Database) -> int:
    """Return the number of trainers that are alive."""
    with database.reading() as session:
        return leases.count_held(session, leases.TRAINER)


def take(database: Database, holder: str, run: str) -> Training | None:
    """Take the oldest training that waits, for the trainer with this lease. Return None if there is none.

    `run` is the id of the attempt among the training runs. Trainings of dead trainers are put back before.
    """
    with database.reading() as session:
        if not _has_work(session):
            return None
    with database.writing() as session:
        _recover(session)
        oldest = select(Training).where(Training.state == QUEUED).order_by(Training.id).limit(1)
        training = session.scalars(oldest.with_for_update(skip_locked=True)).first()
        if training is None:
            return None
        training.state, training.holder, training.run = RUNNING, holder, run
        training.started_at = leases.database_time(session)
        training.attempts += 1
        return _detached(session, training)


def report(database: Database, id: str, holder: str, progress: dict[str, Any]) -> None:
    """Store the progress of a training that this trainer runs."""
    with database.writing() as session:
        if training := _own(session, id, holder):
            training.progress = progress


def is_wanted(database: Database, id: str, holder: str) -> bool:
    """Tell whether a trainer shall go on with a training: it is still its own, and is not cancelled."""
    with database.reading() as session:
        training = _own(session, id, holder, lock=False)
        return training is not None and not training.cancelling


def end(database: Database, id: str, holder: str, outcome: TrainingOutcome) -> bool:
    """Close a training that this trainer runs. Return False if it is no longer its own."""
    with database.writing() as session:
        training = _own(session, id, holder)
        if training is not None:
            _close(session, training, outcome)
        return training is not None


def put_back(database: Database, id: str, holder: str) -> None:
    """Put a training back into the queue whose trainer shuts down. It does not count as an attempt."""
    with database.writing() as session:
        if training := _own(session, id, holder):
            training.attempts -= 1
            _requeue(session, training, "the trainer was shut down")


def cancel(database: Database, id: str) -> Training | None:
    """Cancel a training, and return it, or None if there is none with this id. Raise `EndedError` if it has ended.

    One that is running is marked: its trainer stops it within seconds, unless it ends before.
    """
    with database.writing() as session:
        training = session.get(Training, id, with_for_update=True)
        if training is None:
            return None
        if training.state in (DONE, FAILED):
            raise EndedError(f"the training is {training.state}")
        if training.state == QUEUED or _is_orphaned(session, training):
            _close(session, training, TrainingOutcome(CANCELLED))
        training.cancelling = True
        return _detached(session, training)


def _has_work(session: Session) -> bool:
    waiting = session.scalars(select(Training.id).where(Training.state == QUEUED).limit(1)).first()
    return waiting is not None or any(_is_orphaned(session, one) for one in session.scalars(_running()))


def _running() -> Select[Training]:
    return select(Training).where(Training.state == RUNNING)


def _recover(session: Session) -> None:
    """Put the trainings of dead trainers back into the queue, or close them, and delete the trainers' leases."""
    for training in session.scalars(_running().with_for_update(skip_locked=True)):
        if _is_orphaned(session, training):
            log.warning("training %s of %s: %s", training.id, training.name, _DIED)
            _recover_one(session, training)
    session.flush()
    leases.delete_expired(session, leases.TRAINER)


def _recover_one(session: Session, training: Training) -> None:
    if training.cancelling or training.attempts < MAX_ATTEMPTS:
        _requeue(session, training, _DIED)
    else:
        _close(session, training, TrainingOutcome.stopped(StopCode.INTERRUPTED, f"{_DIED}, {training.attempts} times"))


def _requeue(session: Session, training: Training, why: str) -> None:
    """Put a training back into the queue, or close it if it was cancelled meanwhile."""
    if training.cancelling:
        _close(session, training, TrainingOutcome(CANCELLED))
        return
    _end_run(session, training, training_runs.INTERRUPTED, why)
    training.state = QUEUED
    training.holder = training.started_at = training.progress = None


def _close(session: Session, training: Training, outcome: TrainingOutcome) -> None:
    status = training_runs.FAILED if outcome.state == FAILED else training_runs.INTERRUPTED
    _end_run(session, training, status, outcome.error["message"] if outcome.error else _CANCELLED)
    training.state, training.tag, training.error = outcome
    training.ended_at = leases.database_time(session)


def _end_run(session: Session, training: Training, status: str, why: str) -> None:
    """Close the last attempt among the training runs, if it did not close itself."""
    if training.run:
        training_runs.end_running_in(session, [training.run], status, why)


def _is_orphaned(session: Session, training: Training) -> bool:
    """Tell whether a training's trainer is dead. The lease is read anew: it may be younger than the transaction."""
    return training.state == RUNNING and not leases.is_held(session, training.holder)


def _own(session: Session, id: str, holder: str, *, lock: bool = True) -> Training | None:
    """Return a training if this trainer runs it."""
    training = session.get(Training, id, with_for_update=lock)
    return training if training and training.state == RUNNING and training.holder == holder else None


def _detached(session: Session, training: Training) -> Training:
    session.flush()
    session.expunge(training)
    return training
