"""`GET /shepherd`: whether a shepherd is at work, and what was decided about the models."""

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

MOST = 100
USUALLY = 20


class ModelDecision(Answer):
    """What a shepherd saw of a model, what it decided, and what came of it."""

    id: str
    model: str
    at: datetime
    action: str = Field(description="leave, retrain, delete old versions, or promote: by hand, past the gate")
    reasons: list[str]
    evidence: dict[str, Any] = Field(description="The figures that it was made from")
    outcome: str | None = Field(
        description="left, promoted, rejected, failed, interrupted or deleted; null while under way"
    )
    detail: str = Field(description="Why it ended so")
    tag: str | None = Field(description="The version that was made last")
    runs: list[str] = Field(description="The ids of the training runs")
    ended_at: datetime | None


class ShepherdState(Answer):
    """Whether a shepherd is at work, and what was decided last."""

    at_work: bool
    holder: str | None = Field(description="Who is at work, or was last; null if nobody ever was")
    since: datetime | None
    seen_at: datetime | None = Field(description="When it was last there")
    until: datetime | None = Field(description="So long no other one begins")
    decisions: list[ModelDecision] = Field(description="The newest first")


def operations(api: Api) -> list[Operation]:
    async def show(call: Call) -> Answer:
        model = query(call, "model", _one_of(api.models)) if "model" in parameters(call) else None
        limit = query(call, "limit", _limit, USUALLY)
        return await run_in_threadpool(_state, api.database(), model, limit)

    which = query_parameter("model", "Only decisions about this model", api.models[0], required=False)
    which["schema"]["enum"] = list(api.models)
    limit = query_parameter(
        "limit",
        "So many decisions, the newest",
        "20",
        required=False,
        type="integer",
        minimum=1,
        maximum=MOST,
        examples=[20],
    )
    return [
        Operation(
            method="GET",
            path="/shepherd",
            name="show_shepherd",
            tag="records",
            about="Which models were retrained, or not, and why",
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
    return ModelDecision(**{name: getattr(decision, name) for name in ModelDecision.model_fields})


def _one_of(models: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in models:
            raise ValueError(f"must be one of {', '.join(models)}")
        return text

    return read


def _limit(text: str) -> int:
    may_be_one = text.isascii() and text.isdigit() and len(text) <= len(str(MOST))
    if not may_be_one or not 0 < (number := int(text)) <= MOST:
        raise ValueError(f"must be a number from 1 to {MOST}")
    return number
