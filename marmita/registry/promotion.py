"""Promotion by hand, for the command and for the API."""

from collections.abc import Callable

from bentoml.exceptions import BentoMLException

from marmita.records.database.database import Database
from marmita.records.operations import decisions
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.registry import champions
from marmita.registry.packed_model import PackedModel

Check = Callable[[PackedModel], None]
"""Raises an error unless this code can serve a version."""


class GateNotPassedError(BentoMLException):
    """A version that its gate rejected."""


def promote(packed: PackedModel, check: Check, database: Callable[[], Database], *, force: bool = False) -> None:
    """Make a version the champion.

    With `force`, a version that the gate rejected is promoted too, and recorded beside the shepherd's decisions.
    """
    check(packed)
    verdict = packed.card.verdict
    if verdict.promoted:
        champions.promote(packed)
    elif force:
        _promote_past_gate(packed, verdict.reason, database())
    else:
        raise GateNotPassedError(f"{packed.tag} did not pass the gate: {verdict.reason}")


def _promote_past_gate(packed: PackedModel, reason: str, database: Database) -> None:
    why = Reason(ReasonCode.FORCED, f"forced by hand, past the gate: {reason}")
    decision = decisions.begin(database, packed.name, decisions.PROMOTE, [why], {})
    try:
        champions.promote(packed)
    except Exception as error:
        decisions.end(database, decision, decisions.FAILED, str(error), packed.tag)
        raise
    decisions.end(database, decision, decisions.PROMOTED, why.text, packed.tag)
