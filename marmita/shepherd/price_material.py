"""The material for retraining a forecaster: the stored prices of one stock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from marmita.records.database.database import Database
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.records.prices import prices
from marmita.records.prices.time_split import first_unseen
from marmita.registry.packed_model import PackedModel
from marmita.shepherd.material import Material


@dataclass(frozen=True)
class PriceMaterial(Material):
    """The stored prices of one stock, compared with those that the champion was made from."""

    ticker: str
    """Empty if MARMITA_SHEPHERD_TICKER is."""
    newest: date | None
    """The last day with a stored price."""
    learnt_until: date | None = None
    """The last day that the champion was made from."""
    judged_from: date | None = None
    """The first day that the champion has not seen."""
    would_be_judged_from: date | None = None
    """The first day that a candidate would not see, if it were made from the stored prices."""

    @classmethod
    def look(cls, ticker: str, champion: PackedModel | None, database: Database) -> "PriceMaterial":
        days: list[date] = []
        if ticker:
            with database.reading() as session:
                days = prices.newest(session, ticker).days
        newest = days[-1] if days else None
        if champion is None:
            return cls(ticker, newest)
        data = champion.card.data
        return cls(ticker, newest, data.until, data.held_out_from, days[first_unseen(len(days))] if days else None)

    @property
    def source(self) -> str:
        return self.ticker

    def staleness(self, max_age: timedelta) -> Iterator[Reason]:
        if self.newest is None:
            return
        newest = f"there are prices of {self.ticker} up to {self.newest}"
        if self.learnt_until is not None:
            if self.newest - self.learnt_until >= max_age:
                newer = (self.newest - self.learnt_until).days
                why = f"it is stale: {newest}, {newer} days newer than those that it was made from"
                yield Reason(ReasonCode.STALE, why)
        elif self.judged_from is None or self.newest - self.judged_from >= max_age:
            why = f"it is stale: {newest}, and its card does not say up to which day it was made"
            yield Reason(ReasonCode.AGE_UNKNOWN, why)

    def freshness(self) -> Iterator[Reason]:
        if self.newest is not None:
            why = f"it is fresh: there are prices of {self.ticker} up to {self.newest} only"
            yield Reason(ReasonCode.FRESH, why)

    def obstacles(self, _min_labels: int) -> Iterator[Reason]:
        if not self.ticker:
            why = "there is nothing new to learn from: MARMITA_SHEPHERD_TICKER names no stock"
            yield Reason(ReasonCode.NO_TICKER, why)
        elif self.newest is None:
            why = f"there is nothing new to learn from: no prices of {self.ticker} are stored"
            yield Reason(ReasonCode.NO_PRICES, why)
        elif self.learnt_until is not None and self.newest <= self.learnt_until:
            why = f"there is nothing new to learn from: it knows all prices of {self.ticker} up to {self.newest}"
            yield Reason(ReasonCode.NO_NEWER_PRICES, why)
        yield from self._unfairness()

    def arguments(self, has_champion: bool) -> Iterator[tuple[str, ...]]:
        if self.ticker and self.newest is not None:
            stored = "--source", "stored", "--ticker", self.ticker
            if has_champion:
                yield *stored, "--fine-tune"
            yield stored
        if not has_champion:  # a model of the reference prices is better than none
            yield ()

    def _unfairness(self) -> Iterator[Reason]:
        """Yield the reason why the gate would reject any candidate: the champion has seen days it is scored on."""
        theirs, mine = self.judged_from, self.would_be_judged_from
        if theirs is not None and mine is not None and theirs > mine:
            why = (
                f"a candidate could not be compared with it: made from the stored prices of {self.ticker}, it would be "
                f"scored on days from {mine} on, of which the champion has seen those before {theirs}"
            )
            yield Reason(ReasonCode.NOT_COMPARABLE, why)
