"""What a decision is made from: what a champion has learnt, and what a new one could."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import update

from marmita import discovery
from marmita.records.database.database import Database
from marmita.records.database.tables import Label
from marmita.records.predictions import labels
from marmita.registry.packed_model import PackedModel
from marmita.shepherd.evidence import look
from marmita.shepherd.material import TableMaterial
from marmita.shepherd.price_material import PriceMaterial
from tests.records.grades import ask
from tests.records.stocks import TICKER, keep, walk
from tests.shepherd.conftest import STOCK, WINE

DAY = timedelta(days=1)


@pytest.mark.parametrize(("read_before", "new"), [(None, 0), (2 * DAY, 3), (DAY / 2, 0)])
def test_labels_that_were_told_while_the_champion_was_trained_are_new(
    database: Database, served: Callable[[str], PackedModel], read_before: timedelta | None, new: int
) -> None:
    champion = served(WINE)
    made = champion.card.made
    card = json.loads((champion.path / "card.json").read_text())
    card["data"]["labels_read"] = read_before and (made - read_before).isoformat()
    (champion.path / "card.json").write_text(json.dumps(card))
    id = ask(database, np.ones((3, 11), "<f4"), np.full(3, 5.0), datetime.now(UTC), champion.version, model=WINE)
    with database.writing() as session:
        labels.add(session, {WINE: discovery.runner(WINE).evaluator}, [(f"{id}-{row}", 5) for row in range(3)])
        session.execute(update(Label).values(at=made - DAY))

    assert look(WINE, "", database, DAY).material == TableMaterial(new)


def test_it_is_known_on_which_days_a_new_forecaster_would_be_judged(
    database: Database, served: Callable[[str], PackedModel]
) -> None:
    bars = walk(1000)
    keep(database, bars)

    without = look(STOCK, TICKER, database, DAY).material
    champion = served(STOCK)
    beside = look(STOCK, TICKER, database, DAY).material

    assert without == PriceMaterial(TICKER, bars[-1].day)
    data = champion.card.data
    assert beside == PriceMaterial(TICKER, bars[-1].day, data.until, data.held_out_from, bars[835].day)
