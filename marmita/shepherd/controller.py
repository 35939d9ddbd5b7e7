"""A shepherd's life: it waits for its turn, looks after the models again and again, and ends when it is told to."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import NoReturn

from marmita.records.database.database import DatabaseDownError
from marmita.records.operations import leases
from marmita.records.operations.leases import SHEPHERD, Claim
from marmita.records.recording import database
from marmita.settings import settings
from marmita.shepherd import crash_recovery, shutdown
from marmita.shepherd.reconcile import ReconcileCycle
from marmita.shepherd.retraining import Command, LeaseLostError, training_command
from marmita.shepherd.shutdown import TOLD, ShutdownRequested
from marmita.telemetry.logs import JsonFormatter

_TURN_S = 3.0
"""So often one that waits for its turn asks whether it has come."""
_STEP_S = 0.5
_AGAIN_S = 60.0
"""So soon after a round for which the database was not there the next one begins."""
_LAST_WORDS_S = 3.0
"""So long the end is held up by a database that does not answer. The next shepherd then tidies up."""

log = logging.getLogger("bentoml.marmita")


def run(models: Sequence[str], once: bool, command: Command = training_command) -> int:
    """Be the shepherd of these models. Returns the exit status."""
    _log_as_json()
    try:
        with shutdown.listening():
            return _once(models, command) if once else _again_and_again(models, command)
    except ShutdownRequested:
        log.info(TOLD)
        return 0


def _once(models: Sequence[str], command: Command) -> int:
    with _claimed() as claim:
        if not claim.take():
            log.info("nothing is to be done here: %s", _who())
            return 0
        try:
            return 0 if _round(claim, models, command).go() else 1
        except LeaseLostError as error:
            log.error("%s", error)
            return 1


def _again_and_again(models: Sequence[str], command: Command) -> NoReturn:
    while True:
        with _claimed() as claim:
            _wait_for_turn(claim)
            log.info("at work as %s", claim.holder)
            try:
                _work(claim, _round(claim, models, command))
            except LeaseLostError as error:
                log.error("%s", error)
            except DatabaseDownError as error:
                log.warning("the database can't be used: %s", error)
        time.sleep(_TURN_S)


def _wait_for_turn(claim: Claim) -> None:
    said = ""
    while True:
        shutdown.check()
        try:
            if claim.take():
                return
            if (says := _who()) != said:
                log.info("waiting: %s", says)
                said = says
        except DatabaseDownError as error:
            log.warning("the database can't be used: %s", error)
        time.sleep(_TURN_S)


def _work(claim: Claim, round: ReconcileCycle) -> None:
    """One round after the other, as long as the lease is there."""
    every_s = settings().shepherd_every.total_seconds()
    while not claim.lost:
        shutdown.check()
        next_round = time.monotonic() + every_s
        try:
            round.go()
        except LeaseLostError:
            raise
        except DatabaseDownError as error:
            next_round = time.monotonic() + min(every_s, _AGAIN_S)
            log.warning("this round was not finished, as the database can't be used: %s", error)
        except Exception:
            log.exception("this round came to nothing: the next one is in %.0f s", every_s)
        while not claim.lost and time.monotonic() < next_round:
            shutdown.check()
            time.sleep(_STEP_S)
    raise LeaseLostError("the lease was lost between two rounds")


def _round(claim: Claim, models: Sequence[str], command: Command) -> ReconcileCycle:
    return ReconcileCycle(database(), settings(), models, claim, command)


def _who() -> str:
    holder = leases.look(database(), SHEPHERD)
    return (
        f"{holder.name} is at work since {holder.since:%Y-%m-%d %H:%M:%S} UTC" if holder else "another one is at work"
    )


@contextmanager
def _claimed() -> Iterator[Claim]:
    """One who wants the lease. If it has it at the end, the next one gets it, and finds nothing open."""
    claim = Claim(database(), SHEPHERD)
    try:
        yield claim
    except ShutdownRequested:
        if not claim.lost:
            _try_to(lambda: crash_recovery.close(database(), TOLD))
        raise
    finally:
        _try_to(claim.close if claim.lost else claim.release)


def _try_to(do: Callable[[], object]) -> None:
    """Do it, but don't wait for long: the database may not answer."""

    def attempt() -> None:
        try:
            do()
        except Exception as error:
            log.warning("not all could be tidied up: %s", error)

    last_words = Thread(target=attempt, daemon=True)
    last_words.start()
    last_words.join(_LAST_WORDS_S)


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    log.setLevel(logging.INFO)
