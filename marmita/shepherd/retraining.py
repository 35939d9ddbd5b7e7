"""The retraining of a model: run training scripts one after the other until one promotes a version."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bentoml.exceptions import BentoMLException

from marmita.records.database.database import Database
from marmita.records.database.tables import TrainingRun
from marmita.records.operations import decisions, training_runs
from marmita.records.predictions.bundles import new_id
from marmita.registry import champions
from marmita.shepherd import subprocesses
from marmita.shepherd.evidence import Evidence
from marmita.shepherd.subprocesses import Limits
from marmita.shepherd.supervisor import StopReason

Command = Callable[[str, Sequence[str]], list[str]]
"""A function from a model's name and its script's arguments to the training command."""

_LONGEST_DETAIL = 4_000
_NOT_RECORDED = "the outcome of the run was not recorded"

log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """The loss of the lease: another shepherd may hold it by now, so this one must stop."""


@dataclass(frozen=True)
class TrainingAttempt:
    """One run of a training script."""

    arguments: tuple[str, ...]
    run: str
    """The id of the training run in the records."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a decision."""

    outcome: str
    detail: str
    tag: str | None = None


@dataclass(frozen=True)
class Trainer:
    """A runner of training scripts, within limits and while the shepherd holds its lease."""

    database: Database
    limits: Limits
    good_until: Callable[[], float]
    command: Command

    def retrain(self, model: str, attempts: Sequence[TrainingAttempt]) -> Outcome:
        """Run the attempts in order until one promotes a version."""
        outcomes: list[Outcome] = []
        for attempt in attempts:
            outcomes.append(self._try(model, attempt))
            if outcomes[-1].outcome == decisions.PROMOTED:
                break
        last = outcomes[-1]
        detail = "\n".join(one.detail for one in outcomes)
        return Outcome(last.outcome, detail[:_LONGEST_DETAIL], last.tag)

    def _try(self, model: str, attempt: TrainingAttempt) -> Outcome:
        before = _champion_version(model)
        command = self.command(model, [*attempt.arguments, "--run", attempt.run])
        log.info("training %s starts: %s", model, " ".join(command))
        result = subprocesses.run(command, self.limits, self.good_until, lambda line: log.info("%s: %s", model, line))
        if result.stop_reason in (StopReason.LEASE_LOST, StopReason.SHUTDOWN):
            raise LeaseLostError(str(result))
        how = " ".join(attempt.arguments) or "from the reference file"
        found = self._found(model, attempt, before, how)
        if result.succeeded:
            return found or self._not_recorded(attempt, how)
        if found:  # the failure came afterwards, such as while the run was logged to MLflow
            log.warning("training %s (%s) finished, but %s", model, how, result)
            return replace(found, detail=f"{found.detail}; afterwards {result}")
        log.error("training %s failed (%s): %s", model, how, result)
        training_runs.end_running(self.database, [attempt.run], training_runs.FAILED, str(result))
        return Outcome(decisions.FAILED, f"{how}: {result}")

    def _found(self, model: str, attempt: TrainingAttempt, before: str | None, how: str) -> Outcome | None:
        """Return the recorded outcome of an attempt. Without a record, return "promoted" if the champion changed."""
        known = training_runs.known(self.database, [attempt.run])
        if known and known[0].status in (training_runs.PROMOTED, training_runs.REJECTED):
            return outcome_of(known[0], how)
        after = _champion_version(model)
        if after is None or after == before:
            return None
        training_runs.end_running(self.database, [attempt.run], training_runs.PROMOTED, _NOT_RECORDED)
        return Outcome(decisions.PROMOTED, f"{how}: there is another champion, and {_NOT_RECORDED}", f"{model}:{after}")

    def _not_recorded(self, attempt: TrainingAttempt, how: str) -> Outcome:
        """Return the outcome of an attempt that succeeded, but left neither a record nor a new champion."""
        training_runs.end_running(self.database, [attempt.run], training_runs.REJECTED, _NOT_RECORDED)
        return Outcome(decisions.REJECTED, f"{how}: there is no other champion, and {_NOT_RECORDED}")


def attempts(evidence: Evidence) -> list[TrainingAttempt]:
    """Return the training attempts for this evidence, the most promising one first."""
    found = evidence.material.arguments(evidence.champion is not None)
    return [TrainingAttempt(arguments, new_id()) for arguments in found]


def training_command(model: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", f"training.{model}", *arguments]


def outcome_of(run: TrainingRun, how: str) -> Outcome:
    """Return the outcome of a training run that has ended by itself."""
    return Outcome(run.status, f"{how}: {run.status}: {run.reason}", run.tag)


def _champion_version(model: str) -> str | None:
    try:
        return champions.champion_version(model)
    except (BentoMLException, OSError):
        return None
