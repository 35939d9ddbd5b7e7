"""The trainer: takes trainings from the queue, one at a time, and runs each in a supervised subprocess."""

import logging
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from secrets import token_hex
from typing import Any, NoReturn

from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.database.tables import Training
from marmita.records.operations import leases, trainings
from marmita.records.operations.leases import Claim
from marmita.records.operations.trainings import CANCELLED, DONE, FAILED, StopCode, TrainingOutcome
from marmita.records.predictions.bundles import new_id
from marmita.runtime.recording import database
from marmita.settings import Settings, settings
from marmita.shepherd import shutdown, subprocesses
from marmita.shepherd.retraining import LeaseLostError
from marmita.shepherd.shutdown import ShutdownRequested
from marmita.shepherd.subprocesses import CommandResult, Limits
from marmita.shepherd.supervisor import StopReason
from marmita.telemetry import logs
from marmita.training import messages

TrainingCommand = Callable[[Training], list[str]]
"""A function from a training to the command that runs it."""

POLL_S = 0.5
"""The interval at which an idle trainer looks for trainings."""
_RETRY_S = 3.0
"""The interval between attempts to reach the database."""
_SYNC_S = 1.0
"""The interval at which progress is stored, and a training that was cancelled is noticed."""
_STOP_NOW = -math.inf
_CODES = {StopReason.TIMEOUT: StopCode.TIMEOUT, StopReason.MEMORY: StopCode.OUT_OF_MEMORY}

log = logging.getLogger(__name__)


def learn_command(training: Training) -> list[str]:
    return [sys.executable, "-m", "marmita.training.learn_job", training.id, str(training.run)]


def run(once: bool, command: TrainingCommand = learn_command) -> int:
    """Run a trainer until shutdown, or until no training waits. Return the exit status."""
    logs.configure()
    trainer = Trainer(database(), settings(), command)
    try:
        with shutdown.listening():
            if once:
                return _run_once(trainer)
            _run_until_shutdown(trainer)
    except ShutdownRequested:
        log.info("the trainer was shut down")
        return 0
    finally:
        trainer.close()


def _run_once(trainer: "Trainer") -> int:
    while trainer.work():
        pass
    return 0 if trainer.has_lease else 1


def _run_until_shutdown(trainer: "Trainer") -> NoReturn:
    while True:
        shutdown.check()
        if not trainer.work():
            time.sleep(POLL_S)


class Trainer:
    """A trainer. It has a lease of its own, which shows that it is alive, and takes a new one if it loses it."""

    def __init__(self, database: Database, settings: Settings, command: TrainingCommand = learn_command) -> None:
        self._database = database
        self._limits = Limits(settings.training_timeout.total_seconds(), settings.training_memory_mb * 2**20)
        self._command = command
        self._claim: Claim | None = None
        self._lease = ""
        self._next_try = 0.0

    @property
    def has_lease(self) -> bool:
        return self._claim is not None and not self._claim.lost

    def work(self) -> bool:
        """Run the oldest training that waits. Return False if there is none, or the database is down."""
        if time.monotonic() < self._next_try:
            return False
        try:
            return self._work()
        except (DatabaseDownError, LeaseLostError) as error:
            log.warning("the trainer waits: %s", error)
        except Exception:
            log.exception("the trainer failed")
        self._next_try = time.monotonic() + _RETRY_S
        return False

    def close(self) -> None:
        """Release the lease."""
        if self._claim is not None:
            shutdown.try_briefly(self._claim.close if self._claim.lost else self._claim.release)
            self._claim = None

    def _work(self) -> bool:
        claim = self._leased()
        training = trainings.take(self._database, self._lease, new_id())
        if training is None:
            return False
        log.info("training %s of %s starts, attempt %d", training.id, training.name, training.attempts)
        self._run(training, claim)
        return True

    def _leased(self) -> Claim:
        """Return the claim to a valid lease. A lost lease is never taken again: another trainer may have its work."""
        if self._claim is None or self._claim.lost:
            self.close()
            self._lease = f"{leases.TRAINER}{token_hex(8)}"
            self._claim = Claim(self._database, self._lease)
            self._claim.take()
            log.info("waiting for trainings as %s", self._claim.holder)
        return self._claim

    def _run(self, training: Training, claim: Claim) -> None:
        process = _TrainingProcess(self._database, training, self._lease, claim)
        try:
            result = subprocesses.run(self._command(training), self._limits, process.good_until, process.hear)
        except ShutdownRequested:
            shutdown.try_briefly(lambda: self._leave(training, process.own_outcome()))
            raise
        except Exception as error:
            self._end(training, TrainingOutcome.stopped(StopCode.CRASHED, f"it could not be run: {error}"), claim)
            raise
        if result.status == messages.TRY_AGAIN:
            trainings.put_back(self._database, training.id, self._lease)
            raise DatabaseDownError(f"training {training.id} could not reach the database")
        self._end(training, process.outcome(result), claim)

    def _leave(self, training: Training, outcome: TrainingOutcome | None) -> None:
        """Put a training back at shutdown, unless it had just ended."""
        if outcome is None:
            trainings.put_back(self._database, training.id, self._lease)
        else:
            trainings.end(self._database, training.id, self._lease, outcome)

    def _end(self, training: Training, outcome: TrainingOutcome, claim: Claim) -> None:
        """Store the outcome of a training, and wait for the database as long as the training is this trainer's."""
        log.info("training %s of %s: %s: %s", training.id, training.name, outcome.state, outcome.tag or outcome.error)
        while not claim.lost:
            shutdown.check()
            try:
                trainings.end(self._database, training.id, self._lease, outcome)
                return
            except DatabaseDownError as error:
                log.warning("the outcome of training %s can't be stored yet: %s", training.id, error)
                time.sleep(_RETRY_S)
        raise LeaseLostError(f"the lease was lost during training {training.id}: another trainer may take it")


class _TrainingProcess:
    """The running process of a training: what it says, and whether it may go on."""

    def __init__(self, database: Database, training: Training, lease: str, claim: Claim) -> None:
        self._database = database
        self._training = training
        self._lease = lease
        self._claim = claim
        self._messages: dict[str, dict[str, Any]] = {}
        self._last_line = ""
        self._is_wanted = True
        self._next_sync = 0.0

    def good_until(self) -> float:
        """Return how long the process may go on, by the clock of the leases."""
        shutdown.check()
        if time.monotonic() >= self._next_sync:
            self._sync()
            self._next_sync = time.monotonic() + _SYNC_S
        return self._claim.good_until if self._is_wanted else _STOP_NOW

    def hear(self, line: str) -> None:
        """Take a line of the process's output."""
        if message := messages.read(line):
            kind, content = message
            self._messages[kind] = content
        else:
            self._last_line = line
            log.info("training %s: %s", self._training.id, line)

    def own_outcome(self) -> TrainingOutcome | None:
        """Return the outcome that the process has told, if it has."""
        if done := self._messages.get(messages.RESULT):
            return TrainingOutcome(DONE, tag=done["tag"])
        if error := self._messages.get(messages.ERROR):
            return TrainingOutcome(FAILED, error=error)
        return None

    def outcome(self, result: CommandResult) -> TrainingOutcome:
        """Return the outcome of a process that has ended."""
        if told := self.own_outcome():
            return told
        if not self._is_wanted:
            return TrainingOutcome(CANCELLED)
        code = _CODES.get(result.stop_reason, StopCode.CRASHED) if result.stop_reason else StopCode.CRASHED
        return TrainingOutcome.stopped(code, str(replace(result, last_line=self._last_line)))

    def _sync(self) -> None:
        """Store the progress, and look whether the training is still wanted."""
        try:
            if progress := self._messages.pop(messages.PROGRESS, None):
                trainings.report(self._database, self._training.id, self._lease, progress)
            self._is_wanted = trainings.is_wanted(self._database, self._training.id, self._lease)
        except DatabaseDownError as error:
            log.warning("the progress of training %s can't be stored: %s", self._training.id, error)
