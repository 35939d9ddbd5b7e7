"""Requests that are kept together: those that came one after another and asked the same version of a model.

To write each by itself would cost more than to answer it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from random import getrandbits
from typing import NamedTuple

import numpy as np
from pydantic_core import to_json
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from marmita.records.database import bulk
from marmita.records.database.tables import Forecast, Prediction
from marmita.records.quality.evaluators import Floats

NUMBERS = np.dtype("<f4")
"""How inputs and outputs are kept."""

_MOST_ROWS = 256
"""A request that has more is kept alone. Who wants one row reads the whole bundle."""
_OVERHEAD = 400
"""Bytes that a request takes in memory beside its numbers."""
_SUBJECT = 300
"""Bytes that one row's subject takes."""
_PREDICTION = (
    *("id", "model", "version", "request_id", "at", "seconds", "requests", "asked", "rows", "inputs", "outputs"),
)
_FORECAST = ("prediction_id", "row", "ticker", "as_of")


class Subject(NamedTuple):
    """Which stock a row is about, and its last day."""

    ticker: str
    as_of: date


class PredictionRequest(NamedTuple):
    """What was asked, and what was told."""

    id: str | None
    inputs: Floats
    outputs: Floats
    seconds: float
    """From when the rows were there until the model had answered, with the wait for its batch."""
    subjects: Sequence[Subject | None] = ()

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        return self.inputs.nbytes + self.outputs.nbytes + _OVERHEAD + _SUBJECT * len(self.subjects)


class UnstorableError(Exception):
    """There is something among these records that the database will never take."""


class Bundle:
    """Requests that are kept together. Their rows are counted through."""

    def __init__(self, model: str, version: str) -> None:
        self.id = new_id()
        self.model = model
        self.version = version
        self.rows = 0
        self.size = 0
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._asked: list[tuple[str | None, int, float, float]] = []
        self._forecasts: list[tuple[object, ...]] = []

    def has_room(self, rows: int) -> bool:
        return not self.rows or self.rows + rows <= _MOST_ROWS

    def add(self, request: PredictionRequest, size: int) -> int:
        """The place of the request's first row."""
        first = self.rows
        rows = len(request.inputs)
        # Bytes, as the arrays may be parts of larger ones that would be kept in memory with them.
        self._inputs.append(request.inputs.astype(NUMBERS, copy=False).tobytes())
        self._outputs.append(request.outputs.astype(NUMBERS, copy=False).tobytes())
        self._asked.append((request.id, rows, time.time(), request.seconds))
        for row, subject in enumerate(request.subjects, start=first):
            if subject is not None:
                self._forecasts.append((self.id, row, subject.ticker, subject.as_of.isoformat()))
        self.rows += rows
        self.size += size
        return first

    def without_words(self) -> None:
        """Leave out what others have named: the requests' ids, and the stocks that rows are about."""
        self._asked = [(None, rows, at, seconds) for _, rows, at, seconds in self._asked]
        self._forecasts.clear()

    def row(self, moment: Callable[[float], object]) -> tuple[object, ...]:
        """As the table of predictions has it."""
        ids, rows, at, seconds = zip(*self._asked, strict=True)
        asked = to_json({"request_ids": ids, "rows": rows, "at": at, "seconds": seconds}).decode()
        inputs, outputs = b"".join(self._inputs), b"".join(self._outputs)
        first, mean = ids[0] or "", sum(seconds) / len(seconds)
        about = self.id, self.model, self.version, first, moment(at[0]), mean
        return *about, len(ids), asked, self.rows, inputs, outputs

    def forecasts(self) -> Iterator[tuple[object, ...]]:
        """As the table of forecasts has them."""
        return iter(self._forecasts)


def new_id() -> str:
    """An id that nobody else has. Later ones sort behind earlier ones, so that an index grows at its end."""
    # It is no secret: chance of the cheap kind will do, which a forked process draws anew as well.
    return f"{time.time_ns():016x}{getrandbits(64):016x}"


def write(connection: Connection, bundles: Sequence[Bundle]) -> None:
    """Keep them all, or none."""
    # Who loses the connection while it commits can't know what became of it: the same rows are then sent again.
    moment = bulk.moments(connection)
    try:
        bulk.insert(connection, Prediction, _PREDICTION, [bundle.row(moment) for bundle in bundles])
        if forecasts := [forecast for bundle in bundles for forecast in bundle.forecasts()]:
            bulk.insert(connection, Forecast, _FORECAST, forecasts)
    except (IntegrityError, DataError, ValueError) as error:  # nothing else is the fault of the values
        raise UnstorableError(str(error)) from error
