"""What a new version of a model could learn from, and what follows from that for retraining."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from marmita.records.database.database import Database
from marmita.records.predictions import labels
from marmita.registry.packed_model import PackedModel


class Material(ABC):
    """What a new version of a model could learn from, beside its reference data."""

    @property
    def source(self) -> str:
        """What the shepherd loads before it looks at the model. Empty: nothing."""
        return ""

    def staleness(self, _max_age: timedelta) -> Iterator[str]:
        """Say why the champion is too old, if it is."""
        yield from ()

    def freshness(self) -> Iterator[str]:
        """Say why the champion is not too old, if that can be said."""
        yield from ()

    @abstractmethod
    def obstacles(self, min_labels: int) -> Iterator[str]:
        """Say why it is of no use to retrain with it."""

    @abstractmethod
    def arguments(self, has_champion: bool) -> Iterator[tuple[str, ...]]:
        """Yield the arguments of the training script for each attempt, the best one first."""


@dataclass(frozen=True)
class TableMaterial(Material):
    """Rows that were labelled since the champion was made."""

    new_labels: int

    @classmethod
    def look(cls, model: str, champion: PackedModel | None, database: Database) -> "TableMaterial":
        if champion is None:
            return cls(0)
        # What was labelled while it was trained is new to it: nobody looked at labels again.
        read = champion.card.data.labels_read or champion.card.made
        return cls(labels.count_since(database, model, read))

    def obstacles(self, min_labels: int) -> Iterator[str]:
        lacking = min_labels - self.new_labels
        if lacking > 0:
            yield (
                f"there is nothing new to learn from: {self.new_labels} rows were labelled since it was made, "
                f"{lacking} too few"
            )

    def arguments(self, _has_champion: bool) -> Iterator[tuple[str, ...]]:
        yield ("--with-labels",)
