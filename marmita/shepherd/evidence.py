"""What is known of one model: its champion, how good that still is, and what a new one could learn from."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from marmita import discovery
from marmita.records.database.database import Database
from marmita.records.operations import decisions
from marmita.records.predictions import labels
from marmita.records.prices import prices
from marmita.records.prices.time_split import first_unseen
from marmita.records.quality.evaluators import Evaluator
from marmita.records.quality.path_evaluator import PathEvaluator
from marmita.records.quality.quality import Quality
from marmita.registry.fitness import NotServableError, servable_champion
from marmita.registry.packed_model import PackedModel
from marmita.runtime.slot import measure


@dataclass(frozen=True)
class ChampionEvidence:
    """The version of the store that is served, and how good it was over the window."""

    tag: str
    made: datetime
    rows: int
    looked_at: int
    watched: bool
    """Whether there were enough rows to tell drift."""
    alarms: list[str]
    labelled: int
    error_ratio: float | None
    tries: int = 0
    """How many retrainings there were since it was made."""
    last_try: datetime | None = None


@dataclass(frozen=True)
class TableMaterial:
    """What a model of a table learns from, beside its reference file: rows that were labelled since."""

    new_labels: int


@dataclass(frozen=True)
class PriceMaterial:
    """What a model of a series learns from: the prices of one stock."""

    ticker: str
    """Empty: nobody says which."""
    newest: date | None
    """The last day that is kept."""
    learnt_until: date | None = None
    """The last day that the champion was made from."""
    judged_from: date | None = None
    """The first day that the champion has not seen."""
    would_be_judged_from: date | None = None
    """The first day that one would not see that is made from the prices as they are."""


@dataclass(frozen=True)
class Evidence:
    """All that a decision is made from."""

    model: str
    champion: ChampionEvidence | None
    unfit: str
    """Why there is no champion; empty if there is one."""
    material: PriceMaterial | TableMaterial

    def as_dict(self) -> dict[str, Any]:
        """The same, of values that JSON has."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def look(model: str, ticker: str, database: Database, window: timedelta) -> Evidence:
    """Look at a model, as the store and the records are now."""
    runner = discovery.runner(model)
    evaluator = runner.evaluator
    packed, unfit = _find_servable(model, runner.contract)
    champion = _measured(packed, evaluator, database, window) if packed else None
    material: PriceMaterial | TableMaterial
    if isinstance(evaluator, PathEvaluator):
        material = _series(packed, ticker, database)
    else:
        material = TableMaterial(labels.count_since(database, model, _labels_read(packed)) if packed else 0)
    return Evidence(model, champion, unfit, material)


def _find_servable(model: str, contract: Mapping[str, Any]) -> tuple[PackedModel | None, str]:
    """Return the champion, if today's code can serve it, or why there is none."""
    try:
        return servable_champion(model, contract), ""
    except NotServableError as error:
        return None, str(error)


def _measured(packed: PackedModel, evaluator: Evaluator, database: Database, window: timedelta) -> ChampionEvidence:
    quality: Quality = measure(packed, evaluator, database, window)
    made = packed.card.made
    tries = decisions.fruitless(database, packed.name, packed.tag, made)
    return ChampionEvidence(
        tag=packed.tag,
        made=made,
        rows=quality.rows,
        looked_at=quality.looked_at,
        watched=any(one.psi is not None for one in quality.drift),
        alarms=quality.alarms,
        labelled=quality.labelled,
        error_ratio=quality.error_ratio,
        tries=len(tries),
        last_try=tries[-1].ended_at if tries else None,
    )


def _series(packed: PackedModel | None, ticker: str, database: Database) -> PriceMaterial:
    days: list[date] = []
    if ticker:
        with database.reading() as session:
            days = prices.newest(session, ticker).days
    newest = days[-1] if days else None
    if packed is None:
        return PriceMaterial(ticker, newest)
    data = packed.card.data
    return PriceMaterial(
        ticker, newest, data.until, data.held_out_from, days[first_unseen(len(days))] if days else None
    )


def _labels_read(packed: PackedModel) -> datetime:
    """Labels that were told since then are new to the champion: while it was trained nobody looked at them again."""
    return packed.card.data.labels_read or packed.card.made


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
