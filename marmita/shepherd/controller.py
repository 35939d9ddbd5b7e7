"""The main loop of the shepherd, the retraining controller: take the lease, run cycles, shut down gracefully."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NoReturn

from marmita.records.database.database import DatabaseDownError
from marmita.records.operations import leases
from marmita.records.operations.leases import SHEPHERD, Claim
from marmita.runtime.recording import database
from marmita.settings import settings
from marmita.shepherd import crash_recovery, shutdown
from marmita.shepherd.reconcile import ReconcileCycle
from marmita.shepherd.retraining import Command, LeaseLostError, training_command
from marmita.shepherd.shutdown import ShutdownRequested
from marmita.shepherd.trainer import Trainer
from marmita.telemetry import logs

_POLL_S = 3.0
"""The interval at which a waiting shepherd tries to take the lease."""
_STEP_S = 0.5
_RETRY_S = 60.0
"""The longest interval between a cycle that the database interrupted and the next one."""

log = logging.getLogger(__name__)


def run(models: Sequence[str], once: bool, command: Command = training_command) -> int:
    """Run the shepherd for these models. Return the exit status."""
    logs.configure()
    try:
        with shutdown.listening():
            return _run_once(models, command) if once else _run_until_shutdown(models, command)
    except ShutdownRequested:
        log.info(shutdown.REASON)
        return 0


def _run_once(models: Sequence[str], command: Command) -> int:
    with _claimed() as claim:
        if not claim.take():
            log.info("another shepherd holds the lease: %s", _describe_holder())
            return 0
        try:
            return 0 if _cycle(claim, models, command).run() else 1
        except LeaseLostError as error:
            log.error("%s", error)
            return 1


def _run_until_shutdown(models: Sequence[str], command: Command) -> NoReturn:
    while True:
        with _claimed() as claim:
            _wait_for_lease(claim)
            log.info("took the lease as %s", claim.holder)
            try:
                with closing(Trainer(database(), settings())) as trainer:
                    _run_cycles(claim, _cycle(claim, models, command), trainer)
            except LeaseLostError as error:
                log.error("%s", error)
            except DatabaseDownError as error:
                log.warning("cycles stopped: database unavailable: %s", error)
        time.sleep(_POLL_S)


def _wait_for_lease(claim: Claim) -> None:
    logged = ""
    while True:
        shutdown.check()
        try:
            if claim.take():
                return
            if (holder := _describe_holder()) != logged:
                log.info("waiting for the lease: %s", holder)
                logged = holder
        except DatabaseDownError as error:
            log.warning("waiting for the lease: database unavailable: %s", error)
        time.sleep(_POLL_S)


def _run_cycles(claim: Claim, cycle: ReconcileCycle, trainer: Trainer) -> None:
    """Run cycles at the configured interval until the lease is lost, and trainings that were ordered in between."""
    interval_s = settings().shepherd_interval.total_seconds()
    while not claim.lost:
        shutdown.check()
        next_cycle = time.monotonic() + interval_s
        try:
            cycle.run()
        except LeaseLostError:
            raise
        except DatabaseDownError as error:
            next_cycle = time.monotonic() + min(interval_s, _RETRY_S)
            log.warning("cycle aborted: database unavailable: %s", error)
        except Exception:
            log.exception("cycle failed: the next one starts in %.0f s", interval_s)
        while not claim.lost and time.monotonic() < next_cycle:
            shutdown.check()
            if not trainer.work():
                time.sleep(_STEP_S)
    raise LeaseLostError("the lease was lost between two cycles")


def _cycle(claim: Claim, models: Sequence[str], command: Command) -> ReconcileCycle:
    return ReconcileCycle(database(), settings(), models, claim, command)


def _describe_holder() -> str:
    holder = leases.look(database(), SHEPHERD)
    return f"{holder.name} has held it since {holder.since:%Y-%m-%d %H:%M:%S} UTC" if holder else "holder unknown"


@contextmanager
def _claimed() -> Iterator[Claim]:
    """Yield a claim to the lease. At the end, release the lease; on shutdown, first close the open decisions."""
    claim = Claim(database(), SHEPHERD)
    try:
        yield claim
    except ShutdownRequested:
        if not claim.lost:
            shutdown.try_briefly(lambda: crash_recovery.close_interrupted(database(), shutdown.REASON))
        raise
    finally:
        shutdown.try_briefly(claim.close if claim.lost else claim.release)
