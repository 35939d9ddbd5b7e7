"""The evidence about one model: its champion, the champion's current quality, and the material for a new version."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from marmita import discovery
from marmita.records.database.database import Database
from marmita.records.operations import decisions
from marmita.records.quality.evaluators import Evaluator
from marmita.records.quality.path_evaluator import PathEvaluator
from marmita.records.quality.quality import Quality
from marmita.registry.fitness import NotServableError, servable_champion
from marmita.registry.packed_model import PackedModel
from marmita.runtime.slot import ServedVersion
from marmita.shepherd.material import Material, TableMaterial
from marmita.shepherd.price_material import PriceMaterial


@dataclass(frozen=True)
class ChampionEvidence:
    """The champion in the store, and its quality over the window."""

    tag: str
    made: datetime
    rows: int
    looked_at: int
    watched: bool
    """Whether there were enough rows to measure drift."""
    alarms: list[str]
    labelled: int
    error_ratio: float | None
    tries: int = 0
    """The number of retrainings since the champion was made that promoted nothing."""
    last_try: datetime | None = None


@dataclass(frozen=True)
class Evidence:
    """The input of a decision."""

    model: str
    champion: ChampionEvidence | None
    unfit: str
    """Why there is no champion; empty if there is one."""
    material: Material

    def as_dict(self) -> dict[str, Any]:
        """Return the evidence as values that JSON can hold."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def look(model: str, ticker: str, database: Database, window: timedelta) -> Evidence:
    """Collect the evidence about a model from the store and the records."""
    runner = discovery.runner(model)
    evaluator = runner.evaluator
    packed, unfit = _find_servable(model, runner.contract)
    champion = _measure(packed, evaluator, database, window) if packed else None
    material: Material
    if isinstance(evaluator, PathEvaluator):
        material = PriceMaterial.look(ticker, packed, database)
    else:
        material = TableMaterial.look(model, packed, database)
    return Evidence(model, champion, unfit, material)


def _find_servable(model: str, contract: Mapping[str, Any]) -> tuple[PackedModel | None, str]:
    """Return the champion if this code can serve it, else the reason why there is none."""
    try:
        return servable_champion(model, contract), ""
    except NotServableError as error:
        return None, str(error)


def _measure(packed: PackedModel, evaluator: Evaluator, database: Database, window: timedelta) -> ChampionEvidence:
    quality: Quality = ServedVersion(packed, evaluator).measure(database, window)
    made = packed.card.made
    tries = decisions.without_promotion(database, packed.name, packed.tag, made)
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
