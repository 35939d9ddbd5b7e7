"""One reconcile cycle: recover from crashes, refresh prices, label forecasts, and reconcile each model."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.operations import decisions
from marmita.records.operations.leases import Claim
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.records.predictions import labels
from marmita.records.prices import yahoo
from marmita.records.prices.loading import Fetch
from marmita.registry import pruning
from marmita.settings import Settings
from marmita.shepherd import crash_recovery, shutdown
from marmita.shepherd.evidence import Evidence, look
from marmita.shepherd.policy import Policy, PolicyDecision, decide
from marmita.shepherd.price_refresh import refresh
from marmita.shepherd.retraining import Command, LeaseLostError, Outcome, Trainer, attempts, training_command
from marmita.shepherd.subprocesses import Limits

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReconcileCycle:
    """A cycle, with all that it depends on."""

    database: Database
    settings: Settings
    models: Sequence[str]
    claim: Claim
    command: Command = training_command
    fetch: Fetch = field(default=yahoo.fetch)

    def run(self) -> bool:
        """Run the cycle. Return whether it succeeded for every model; a rejected candidate is a success."""
        crash_recovery.close_interrupted(self.database, crash_recovery.REASON)
        price_errors = refresh(self.database, self.settings.shepherd_ticker, self.fetch, self._may_continue)
        self._check()
        if count := labels.label_all(self.database):
            log.info("labelled %d steps of forecasts from prices", count)
        succeeded = [self._reconcile(model, price_errors) for model in self.models]
        succeeded += [self._delete_old_versions(model) for model in self.models]
        return all(succeeded)

    def _reconcile(self, model: str, price_errors: dict[str, str]) -> bool:
        """Reconcile one model. Return whether it succeeded: an error of one model must not stop the others."""
        try:
            self._check()
            ticker = self.settings.shepherd_ticker
            evidence = look(model, ticker, self.database, self.settings.quality_window)
            decision = decide(evidence, _policy(self.settings), datetime.now(UTC))
            if error := price_errors.get(evidence.material.source):
                why = f"prices could not be refreshed: {error}"
                decision.reasons.append(Reason(ReasonCode.PRICES_UNAVAILABLE, why))
            return self._carry_out(evidence, decision)
        except (DatabaseDownError, LeaseLostError):
            raise
        except Exception:
            log.exception("reconciling %s failed", model)
            return False

    def _carry_out(self, evidence: Evidence, decision: PolicyDecision) -> bool:
        model, action, reasons = evidence.model, decision.action, decision.reasons
        log.info("%s: %s: %s", model, action, "; ".join(map(str, reasons)))
        if action == decisions.LEAVE:
            decisions.begin(self.database, model, action, reasons, evidence.as_dict())
            return True
        tries = attempts(evidence)
        ids = [one.run for one in tries]
        id = decisions.begin(self.database, model, action, reasons, evidence.as_dict(), ids)
        try:
            result = self._trainer().retrain(model, tries)
        except (DatabaseDownError, LeaseLostError):
            raise  # the next holder of the lease closes the decision
        except Exception as error:
            result = Outcome(decisions.FAILED, f"{type(error).__name__}: {error}")
            log.exception("retraining %s failed", model)
        self._check()
        decisions.end(self.database, id, result.outcome, result.detail, result.tag)
        log.info("%s: %s: %s", model, result.outcome, result.detail)
        return result.outcome != decisions.FAILED

    def _delete_old_versions(self, model: str) -> bool:
        """Delete the versions that retention does not keep. Return whether it succeeded."""
        keep = self.settings.retrain_keep_versions
        try:
            self._check()
            if old := pruning.old_versions(model, keep):
                why = f"retention keeps the newest {keep} versions of {model}, former champions and versions in use"
                reason = Reason(ReasonCode.RETENTION, why)
                id = decisions.begin(self.database, model, decisions.DELETE, [reason], {"versions": old})
                result = self._delete(model, old, keep)
                decisions.end(self.database, id, result.outcome, result.detail)
                return result.outcome == decisions.DELETED
        except (DatabaseDownError, LeaseLostError):
            raise
        except Exception:
            log.exception("finding old versions of %s failed", model)
            return False
        return True

    def _delete(self, model: str, old: Sequence[str], keep: int) -> Outcome:
        try:
            tags = pruning.delete(model, old, keep)
        except Exception as error:
            log.exception("deleting old versions of %s failed", model)
            return Outcome(decisions.FAILED, f"{type(error).__name__}: {error}")
        for tag in tags:
            log.info("deleted %s from the store", tag)
        return Outcome(decisions.DELETED, "\n".join(tags))

    def _may_continue(self) -> bool:
        shutdown.check()
        return not self.claim.lost

    def _good_until(self) -> float:
        shutdown.check()
        return self.claim.good_until

    def _check(self) -> None:
        if not self._may_continue():
            raise LeaseLostError("the lease was lost: the database could not be reached in time, or another has it")

    def _trainer(self) -> Trainer:
        limits = Limits(self.settings.retrain_timeout.total_seconds(), self.settings.retrain_memory_mb * 2**20)
        return Trainer(self.database, limits, self._good_until, self.command)


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_age=settings.retrain_max_age,
        error_ratio=settings.retrain_error_ratio,
        min_labels=settings.retrain_min_labels,
        backoff=settings.retrain_backoff,
    )
