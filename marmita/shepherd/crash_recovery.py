"""Crash recovery: close the decisions and training runs that a killed shepherd, or one that shuts down, left open."""

import logging

from bentoml.exceptions import BentoMLException

from marmita.records.database.database import Database
from marmita.records.database.tables import Decision
from marmita.records.operations import decisions, training_runs
from marmita.registry import champions
from marmita.shepherd.retraining import Outcome, outcome_of

REASON = "the shepherd that decided this was killed before it had finished"
"""The detail of decisions that a killed shepherd left open."""

log = logging.getLogger(__name__)


def close_interrupted(database: Database, why: str) -> int:
    """Close all open decisions and their training runs. Return the number of decisions.

    Only the holder of the lease may call this: then every open decision is its own, or that of a dead shepherd.
    """
    found = decisions.still_open(database)
    for decision in found:
        training_runs.end_running(database, decision.runs, training_runs.INTERRUPTED, why)
        result = _outcome(database, decision, why)
        decisions.end(database, decision.id, result.outcome, result.detail, result.tag)
        log.warning("decision about %s of %s closed: %s", decision.model, decision.at.isoformat(), result.detail)
    return len(found)


def _outcome(database: Database, decision: Decision, why: str) -> Outcome:
    """Return the outcome of an open decision: that of its training runs if they had ended, else "interrupted"."""
    ended = [
        run
        for run in training_runs.known(database, decision.runs)
        if run.status in (training_runs.PROMOTED, training_runs.REJECTED)
    ]
    if ended and (ended[-1].status == training_runs.PROMOTED or len(ended) == len(decision.runs)):
        return outcome_of(ended[-1], why)
    if decision.action == decisions.RETRAIN and (tag := _champion_since(decision)):
        return Outcome(decisions.PROMOTED, f"{why}: {tag} had become the champion", tag)
    return Outcome(decisions.INTERRUPTED, why)


def _champion_since(decision: Decision) -> str | None:
    """Return the champion's tag if the champion was made after the decision."""
    try:
        champion = champions.champion(decision.model)
        return champion.tag if champion and champion.card.made >= decision.at else None
    except BentoMLException:
        return None
