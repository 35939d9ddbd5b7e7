"""The material for retraining: the new data that a version of a model could learn from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from marmita.records.database.database import Database
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.records.predictions import labels
from marmita.registry.packed_model import PackedModel


class Material(ABC):
    """The data that a new version could learn from, beside the reference data."""

    @property
    def source(self) -> str:
        """The stock whose prices the shepherd loads before it collects the evidence; empty if there is none."""
        return ""

    def staleness(self, _max_age: timedelta) -> Iterator[Reason]:
        """Yield the reasons why the champion is too old."""
        yield from ()

    def freshness(self) -> Iterator[Reason]:
        """Yield the reasons why the champion is not too old, if its age is known."""
        yield from ()

    @abstractmethod
    def obstacles(self, min_labels: int) -> Iterator[Reason]:
        """Yield the reasons why retraining with this material is of no use."""

    @abstractmethod
    def arguments(self, has_champion: bool) -> Iterator[tuple[str, ...]]:
        """Yield the arguments of the training script for each attempt, the best one first."""


@dataclass(frozen=True)
class TableMaterial(Material):
    """The rows that were labelled since the champion's training read the labels."""

    new_labels: int

    @classmethod
    def look(cls, model: str, champion: PackedModel | None, database: Database) -> "TableMaterial":
        if champion is None:
            return cls(0)
        # Labels that arrived during its training are new to it: a training reads the labels once.
        read = champion.card.data.labels_read or champion.card.made
        return cls(labels.count_since(database, model, read))

    def obstacles(self, min_labels: int) -> Iterator[Reason]:
        lacking = min_labels - self.new_labels
        if lacking > 0:
            why = (
                f"there is nothing new to learn from: {self.new_labels} rows were labelled since it was made, "
                f"{lacking} too few"
            )
            yield Reason(ReasonCode.TOO_FEW_NEW_LABELS, why)

    def arguments(self, _has_champion: bool) -> Iterator[tuple[str, ...]]:
        yield ("--with-labels",)
