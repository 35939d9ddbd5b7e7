"""What a recorder has written, request by request."""

from sqlalchemy import select

from marmita.records.database.database import Database
from marmita.records.database.tables import Prediction
from marmita.records.predictions.recorder import Kept


def name(kept: Kept | None) -> str | None:
    """The id of a request's first row."""
    return None if kept is None else f"{kept[0]}-{kept[1]}"


def names(database: Database) -> list[str]:
    """Those of all requests, the oldest first."""
    found: list[str] = []
    with database.reading() as session:
        for id, asked in session.execute(select(Prediction.id, Prediction.asked).order_by(Prediction.id)):
            first = 0
            for rows in asked["rows"]:
                found.append(f"{id}-{first}")
                first += rows
    return found
