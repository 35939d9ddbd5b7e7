"""`GET /shepherd`: whether a shepherd is at work, and what was decided about the models."""

from collections.abc import Callable, Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from marmita.api.record_contract import ModelDecision, ShepherdState
from marmita.api.record_routes import answer, query
from marmita.records.database.database import Database
from marmita.records.database.tables import Decision
from marmita.records.operations import decisions, leases

MOST = 100
USUALLY = 20


def shepherd(models: Sequence[str], database: Callable[[], Database]) -> Route:
    """The route that shows decisions about these models, over one database."""

    async def show(request: Request) -> Response:
        model = query(request, "model", _one_of(models)) if "model" in request.query_params else None
        limit = query(request, "limit", _limit, USUALLY)
        return answer(await run_in_threadpool(_state, database(), model, limit))

    return Route("/shepherd", show)


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
