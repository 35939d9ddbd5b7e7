"""Retraining a model: the scripts to run, one after the other until one brings a better one, and what came of it."""

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
"""How a model is trained: the command, from its name and the arguments of its script."""

_LONGEST_DETAIL = 4_000
_NOT_RECORDED = "what came of it was not remembered"

log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """Another shepherd may be at work by now: this one must do nothing more."""


@dataclass(frozen=True)
class TrainingAttempt:
    """One run of a training script."""

    arguments: tuple[str, ...]
    run: str
    """The id under which it is remembered."""


@dataclass(frozen=True)
class Outcome:
    """What came of a retraining."""

    outcome: str
    detail: str
    tag: str | None = None


@dataclass(frozen=True)
class Trainer:
    """Runs training scripts within limits, as long as the shepherd has its lease."""

    database: Database
    limits: Limits
    good_until: Callable[[], float]
    command: Command

    def retrain(self, model: str, attempts: Sequence[TrainingAttempt]) -> Outcome:
        """Try one after the other, until one is promoted."""
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
        log.info("training begins: %s", " ".join(command))
        result = subprocesses.run(command, self.limits, self.good_until, lambda line: log.info("%s: %s", model, line))
        if result.stop_reason in (StopReason.LEASE_LOST, StopReason.SHUTDOWN):
            raise LeaseLostError(str(result))
        how = " ".join(attempt.arguments) or "from the reference file"
        found = self._found(model, attempt, before, how)
        if result.succeeded:
            return found or self._not_recorded(attempt, how)
        if found:  # whatever happened afterwards, as while it was logged elsewhere
            log.warning("training %s (%s) was done, but %s", model, how, result)
            return replace(found, detail=f"{found.detail}; afterwards {result}")
        log.error("training %s failed (%s): %s", model, how, result)
        training_runs.end_running(self.database, [attempt.run], training_runs.FAILED, str(result))
        return Outcome(decisions.FAILED, f"{how}: {result}")

    def _found(self, model: str, attempt: TrainingAttempt, before: str | None, how: str) -> Outcome | None:
        """What the run says came of it; and the store, if the run could not be remembered."""
        known = training_runs.known(self.database, [attempt.run])
        if known and known[0].status in (training_runs.PROMOTED, training_runs.REJECTED):
            return outcome_of(known[0], how)
        after = _champion_version(model)
        if after is None or after == before:
            return None
        training_runs.end_running(self.database, [attempt.run], training_runs.PROMOTED, _NOT_RECORDED)
        return Outcome(decisions.PROMOTED, f"{how}: there is another champion, and {_NOT_RECORDED}", f"{model}:{after}")

    def _not_recorded(self, attempt: TrainingAttempt, how: str) -> Outcome:
        """It went through to its end, and left nothing."""
        training_runs.end_running(self.database, [attempt.run], training_runs.REJECTED, _NOT_RECORDED)
        return Outcome(decisions.REJECTED, f"{how}: there is no other champion, and {_NOT_RECORDED}")


def attempts(evidence: Evidence) -> list[TrainingAttempt]:
    """How to make a better model than the one that was looked at."""
    found = evidence.material.arguments(evidence.champion is not None)
    return [TrainingAttempt(arguments, new_id()) for arguments in found]


def training_command(model: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", f"training.{model}", *arguments]


def outcome_of(run: TrainingRun, how: str) -> Outcome:
    """What came of a run that has ended by itself."""
    return Outcome(run.status, f"{how}: {run.status}: {run.reason}", run.tag)


def _champion_version(model: str) -> str | None:
    try:
        return champions.champion_version(model)
    except (BentoMLException, OSError):
        return None
