"""What is known of one model: its champion, how good that still is, and what a new one could learn from."""

import math
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any

from bentoml.exceptions import BentoMLException

from marmita import store
from marmita.contract import same_interface
from marmita.current import measure
from marmita.periods import first_unseen
from marmita.store import Packed
from records import decisions, labels, prices
from records.database import Database
from records.judging import Judge
from records.path_judge import Paths
from records.quality import Quality


@dataclass(frozen=True)
class Champion:
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
class Table:
    """What a model of a table learns from, beside its reference file: rows that were labelled since."""

    new_labels: int


@dataclass(frozen=True)
class Series:
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
    champion: Champion | None
    unfit: str
    """Why there is no champion; empty if there is one."""
    material: Series | Table

    def as_dict(self) -> dict[str, Any]:
        """The same, of values that JSON has."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def look(model: str, ticker: str, database: Database, window: timedelta) -> Evidence:
    """Look at a model, as the store and the records are now."""
    contract: Any = import_module(f"bentos.{model}.contract")
    judge: Judge = import_module(f"bentos.{model}.judge").JUDGE
    packed, unfit = fit(model, contract.CONTRACT)
    champion = _measured(packed, judge, database, window) if packed else None
    material: Series | Table
    if isinstance(judge, Paths):
        material = _series(packed, ticker, database)
    else:
        material = Table(labels.count_since(database, model, _labels_read(packed)) if packed else 0)
    return Evidence(model, champion, unfit, material)


def fit(model: str, contract: dict[str, Any]) -> tuple[Packed | None, str]:
    """The champion, if today's code can serve it, or why there is none."""
    try:
        found = store.champion(model)
        if found is None:
            return None, "the store has none"
        found.check()
    except BentoMLException as error:
        return None, str(error)
    if not same_interface(found.contract, contract):
        return None, f"{found.tag} was trained with another contract than this code has"
    return found, ""


def _measured(packed: Packed, judge: Judge, database: Database, window: timedelta) -> Champion:
    quality: Quality = measure(packed, judge, database, window)
    made = packed.card.made
    tries = decisions.fruitless(database, packed.name, packed.tag, made)
    return Champion(
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


def _series(packed: Packed | None, ticker: str, database: Database) -> Series:
    days: list[date] = []
    if ticker:
        with database.reading() as session:
            days = prices.newest(session, ticker).days
    newest = days[-1] if days else None
    if packed is None:
        return Series(ticker, newest)
    data = packed.card.data
    return Series(ticker, newest, data.until, data.held_out_from, days[first_unseen(len(days))] if days else None)


def _labels_read(packed: Packed) -> datetime:
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
