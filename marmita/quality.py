"""How good the served models are: asked for by someone, or measured again and again for Prometheus."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from marmita.store import Packed
from records import quality, retention
from records.database import Database, DatabaseDownError
from records.judging import Judge

log = logging.getLogger("bentoml.marmita")


@dataclass(frozen=True)
class ServedModel:
    """A model that is served, and who can say how good it was."""

    packed: Packed
    judge: Judge

    def measure(self, database: Database, window: timedelta) -> dict[str, Any]:
        return quality.measure(
            database,
            self.judge,
            version=self.packed.version,
            reference=self.packed.reference,
            held_out=self.packed.card.held_out,
            window=window,
            now=datetime.now(UTC),
        ).as_dict()
