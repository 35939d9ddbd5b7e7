"""`GET /shepherd`: the state of the shepherd, the retraining controller, and its decisions."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field
from starlette.concurrency import run_in_threadpool

from marmita.api.operations import INVALID, UNAVAILABLE, Api, Operation, parameters, query, query_parameter
from marmita.contract.answers import Answer
from marmita.contract.replies import Call
from marmita.records.database.database import Database
from marmita.records.database.tables import Decision
from marmita.records.operations import decisions, leases
from marmita.records.operations.reasons import ReasonCode

MAX_LIMIT = 100
DEFAULT_LIMIT = 20


class ModelDecision(Answer):
    """A decision about a model, with its evidence, its reasons and its outcome."""

    id: str
    model: str
    at: datetime
    action: str = Field(description="leave, retrain, delete old versions, or promote: by hand, past the gate")
    reasons: list[str] = Field(description="The reasons, for people")
    reason_codes: list[ReasonCode] = Field(
        description="The code of each reason, in the same order; unknown if the decision was stored without codes"
    )
    evidence: dict[str, Any] = Field(description="The figures that the decision is based on")
    outcome: str | None = Field(
        description="left, promoted, rejected, failed, interrupted or deleted; null while in progress"
    )
    detail: str = Field(description="The reason for the outcome")
    tag: str | None = Field(description="The version that was trained last")
    runs: list[str] = Field(description="The ids of the training runs")
    ended_at: datetime | None


class ShepherdState(Answer):
    """The holder of the shepherd's lease, and the latest decisions."""

    at_work: bool = Field(description="Whether a shepherd holds the lease")
    holder: str | None = Field(description="The current or last holder of the lease; null if there was none")
    since: datetime | None = Field(description="When the holder acquired the lease")
    seen_at: datetime | None = Field(description="The holder's last heartbeat")
    until: datetime | None = Field(description="When the lease expires")
    decisions: list[ModelDecision] = Field(description="The newest first")


def operations(api: Api) -> list[Operation]:
    async def show(call: Call) -> Answer:
        model = query(call, "model", _one_of(api.names())) if "model" in parameters(call) else None
        limit = query(call, "limit", _limit, DEFAULT_LIMIT)
        return await run_in_threadpool(_state, api.database(), model, limit)

    which = query_parameter("model", "Only decisions about this model", next(iter(api.models), ""), required=False)
    limit = query_parameter(
        "limit",
        "The number of decisions, newest first",
        "20",
        required=False,
        type="integer",
        minimum=1,
        maximum=MAX_LIMIT,
        examples=[20],
    )
    return [
        Operation(
            method="GET",
            path="/shepherd",
            name="show_shepherd",
            tag="records",
            about="The state of the shepherd and its decisions",
            answer=ShepherdState,
            handlers={"/shepherd": show},
            parameters=[which, limit],
            errors=INVALID | UNAVAILABLE,
        )
    ]


def _state(database: Database, model: str | None, limit: int) -> ShepherdState:
    holder = leases.look(database, leases.SHEPHERD)
    return ShepherdState(
        at_work=holder is not None and holder.holds,
        holder=holder and holder.name,
        since=holder and holder.since,
        seen_at=holder and holder.seen_at,
        until=holder and holder.until,
        decisions=[_shown(one) for one in decisions.latest(database, model, limit)],
    )


def _shown(decision: Decision) -> ModelDecision:
    stored = {name: getattr(decision, name) for name in ModelDecision.model_fields}
    codes = [reason.code for reason in decisions.reasons_of(decision)]
    return ModelDecision(**stored | {"reason_codes": codes})


def _one_of(models: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in models:
            raise ValueError(f"must be one of {', '.join(models)}")
        return text

    return read


def _limit(text: str) -> int:
    may_be_one = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT))
    if not may_be_one or not 0 < (number := int(text)) <= MAX_LIMIT:
        raise ValueError(f"must be a number from 1 to {MAX_LIMIT}")
    return number
