"""Bundles: consecutive requests to the same version of a model, stored in one row.

A row for each request would cost more than its answer.
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
"""The format in which inputs and outputs are stored."""

_MOST_ROWS = 256
"""The maximum size of a bundle, as reading one row reads all. A larger request makes its own bundle."""
_OVERHEAD = 400
"""The bytes that a request takes in memory in addition to its numbers."""
_SUBJECT = 300
"""The bytes that the subject of a row takes in memory."""
_PREDICTION = (
    *("id", "model", "version", "request_id", "at", "seconds", "requests", "asked", "rows", "inputs", "outputs"),
)
_FORECAST = ("prediction_id", "row", "ticker", "as_of")


class Subject(NamedTuple):
    """The stock and the last day of a row."""

    ticker: str
    as_of: date


class PredictionRequest(NamedTuple):
    """One request with the model's outputs."""

    id: str | None
    inputs: Floats
    outputs: Floats
    seconds: float
    """The inference time, including the wait in the batch queue."""
    subjects: Sequence[Subject | None] = ()

    @property
    def size(self) -> int:
        """Return the bytes that the request takes in memory."""
        return self.inputs.nbytes + self.outputs.nbytes + _OVERHEAD + _SUBJECT * len(self.subjects)


class UnstorableError(Exception):
    """Records with a value that the database will never accept."""


class Bundle:
    """Consecutive requests to one version of a model. Rows are numbered across them."""

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
        """Add a request and return the number of its first row."""
        first = self.rows
        rows = len(request.inputs)
        # Bytes, as an array may be a view that keeps a larger array in memory.
        self._inputs.append(request.inputs.astype(NUMBERS, copy=False).tobytes())
        self._outputs.append(request.outputs.astype(NUMBERS, copy=False).tobytes())
        self._asked.append((request.id, rows, time.time(), request.seconds))
        for row, subject in enumerate(request.subjects, start=first):
            if subject is not None:
                self._forecasts.append((self.id, row, subject.ticker, subject.as_of.isoformat()))
        self.rows += rows
        self.size += size
        return first

    def remove_texts(self) -> None:
        """Remove the texts that clients have sent: the requests' ids and the rows' stocks."""
        self._asked = [(None, rows, at, seconds) for _, rows, at, seconds in self._asked]
        self._forecasts.clear()

    def row(self, moment: Callable[[float], object]) -> tuple[object, ...]:
        """Return the bundle as a row of the table of predictions."""
        ids, rows, at, seconds = zip(*self._asked, strict=True)
        asked = to_json({"request_ids": ids, "rows": rows, "at": at, "seconds": seconds}).decode()
        inputs, outputs = b"".join(self._inputs), b"".join(self._outputs)
        first, mean = ids[0] or "", sum(seconds) / len(seconds)
        about = self.id, self.model, self.version, first, moment(at[0]), mean
        return *about, len(ids), asked, self.rows, inputs, outputs

    def forecasts(self) -> Iterator[tuple[object, ...]]:
        """Return the forecasts as rows of their table."""
        return iter(self._forecasts)


def new_id() -> str:
    """Return a unique id. Ids sort by time, so that an index grows at its end."""
    # An id is no secret, so a cheap generator will do. Python reseeds it in a forked process.
    return f"{time.time_ns():016x}{getrandbits(64):016x}"


def write(connection: Connection, bundles: Sequence[Bundle]) -> None:
    """Insert all bundles or none."""
    # A retry after a lost connection may send rows that were committed: these are skipped.
    moment = bulk.moments(connection)
    try:
        bulk.insert(connection, Prediction, _PREDICTION, [bundle.row(moment) for bundle in bundles])
        if forecasts := [forecast for bundle in bundles for forecast in bundle.forecasts()]:
            bulk.insert(connection, Forecast, _FORECAST, forecasts)
    except (IntegrityError, DataError, ValueError) as error:  # other errors are no fault of the values
        raise UnstorableError(str(error)) from error
