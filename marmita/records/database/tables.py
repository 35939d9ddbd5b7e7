"""The tables of the database. `migrations` creates them."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Moment(TypeDecorator[datetime]):
    """A point in time, stored in UTC. SQLite has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base class of all tables."""

    type_annotation_map = {datetime: Moment(), dict[str, Any]: JSON(), list[str]: JSON()}  # noqa: RUF012  as SQLAlchemy wants it


class Price(Base):
    """One day of a stock. Prices are adjusted for all splits known when they were fetched, and for no dividend."""

    __tablename__ = "prices"

    ticker: Mapped[str] = mapped_column(String(32), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    open: Mapped[float]
    high: Mapped[float]
    low: Mapped[float]
    close: Mapped[float]
    volume: Mapped[int] = mapped_column(BigInteger)
    dividend: Mapped[float]
    """Paid on this day to those who held the share the day before; 0 on most days."""
    split: Mapped[float]
    """New shares for one old share on this day; 1 on most days."""
    fetched_at: Mapped[datetime]


class PriceRange(Base):
    """Days of a stock that were fetched, with or without trade. They are not fetched again."""

    __tablename__ = "price_ranges"

    ticker: Mapped[str] = mapped_column(String(32), primary_key=True)
    first_day: Mapped[date] = mapped_column(primary_key=True)
    last_day: Mapped[date]
    fetched_at: Mapped[datetime]


class Prediction(Base):
    """A bundle of consecutive requests to one version of a model, with its answers.

    Inputs and outputs are little-endian single-precision numbers as the model takes and returns them, row by row.
    A row's id is `<id>-<row>`, where `row` counts from 0 over all requests of the bundle.
    """

    __tablename__ = "predictions"
    __table_args__ = (Index("predictions_by_model_and_time", "model", "at"), Index("predictions_by_time", "at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(128))
    """The id of the first request. Services older than bundles read and write this and `seconds`."""
    at: Mapped[datetime]
    """The time of the first request's answer."""
    seconds: Mapped[float]
    """The mean of the requests' inference times."""
    requests: Mapped[int] = mapped_column(server_default="1")
    asked: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Lists with an item for each request: `request_ids`, the number of `rows`, `at` in Unix time, and the inference
    time in `seconds`, including the wait in the batch queue."""
    rows: Mapped[int]
    inputs: Mapped[bytes] = mapped_column(LargeBinary)
    outputs: Mapped[bytes] = mapped_column(LargeBinary)


class Forecast(Base):
    """The stock and the last day of a predicted row, from which prices label it when they are known."""

    __tablename__ = "forecasts"
    __table_args__ = (
        Index(
            "forecasts_that_wait",
            *("ticker", "as_of", "next_step", "prediction_id", "row"),
            sqlite_where=text("next_step IS NOT NULL"),
            postgresql_where=text("next_step IS NOT NULL"),
        ),
    )

    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    ticker: Mapped[str] = mapped_column(String(32))
    as_of: Mapped[date]
    next_step: Mapped[int | None] = mapped_column(server_default="1")
    """The first step that prices have not labelled; NULL after the last one."""


class Label(Base):
    """The true value of a predicted row, or of one of its steps."""

    __tablename__ = "labels"

    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    """The day of a forecast, counted from 1; 0 if the row has a single truth."""
    value: Mapped[float]
    """A number, or the index of the true class among the model's classes."""
    at: Mapped[datetime]


class TrainingRun(Base):
    """One training of a candidate, with its outcome."""

    __tablename__ = "training_runs"
    __table_args__ = (Index("training_runs_by_model_and_time", "model", "started_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    """`running`, `promoted`, `rejected`, `failed` or `interrupted`."""
    reason: Mapped[str] = mapped_column(Text)
    """The reason for the outcome; empty while the run is active."""
    tag: Mapped[str | None] = mapped_column(String(128))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    scores: Mapped[dict[str, Any]]


class Measurement(Base):
    """The quality and the drift of a model over a window of time."""

    __tablename__ = "quality_measurements"
    __table_args__ = (Index("quality_measurements_by_model_and_time", "model", "at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    window_s: Mapped[float]
    figures: Mapped[dict[str, Any]]


class Decision(Base):
    """A retraining decision about a model, with its evidence and its outcome."""

    __tablename__ = "decisions"
    __table_args__ = (Index("decisions_by_model_and_time", "model", "at"), Index("decisions_by_time", "at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(16))
    """`leave`, `retrain`, or `delete` old versions."""
    reasons: Mapped[list[str]]
    """The texts of the reasons."""
    reason_codes: Mapped[list[str]] = mapped_column(server_default="[]")
    """The code of each text; empty if a service older than codes wrote the decision."""
    evidence: Mapped[dict[str, Any]]
    """The figures that the decision is based on."""
    runs: Mapped[list[str]]
    """The ids of the training runs that the decision may start."""
    outcome: Mapped[str | None] = mapped_column(String(16))
    """`left`, `promoted`, `rejected`, `failed`, `interrupted` or `deleted`; NULL while it is open."""
    detail: Mapped[str] = mapped_column(Text)
    tag: Mapped[str | None] = mapped_column(String(128))
    """The tag of the last version that was trained."""
    ended_at: Mapped[datetime | None]


class Training(Base):
    """A training that was ordered over HTTP: its place in the queue, its progress and its outcome."""

    __tablename__ = "trainings"
    __table_args__ = (Index("trainings_by_state", "state", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Ids sort by time: the queue's order."""
    name: Mapped[str] = mapped_column(String(64))
    """The name of the model."""
    order: Mapped[dict[str, Any]]
    dataset: Mapped[str] = mapped_column(String(64))
    """The SHA-256 of the file in the dataset store."""
    file: Mapped[str] = mapped_column(String(255))
    """The name of the file as it was uploaded."""
    state: Mapped[str] = mapped_column(String(16))
    """`queued`, `running`, `done`, `failed` or `cancelled`."""
    at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    attempts: Mapped[int]
    """How often a trainer took it, without those that a trainer's shutdown ended."""
    holder: Mapped[str | None] = mapped_column(String(64))
    """The lease of the trainer that took it last. While it is running, that lease is its heartbeat."""
    run: Mapped[str | None] = mapped_column(String(32))
    """The id of the last attempt among the training runs."""
    cancelling: Mapped[bool]
    """Whether its trainer shall stop it."""
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The current `step`, the share that is `done`, and the `seconds_left`."""
    tag: Mapped[str | None] = mapped_column(String(128))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The `code` and the `message` of the error, and its place in the dataset if it has one."""


class Lease(Base):
    """A lease with its holder and its expiry, which the holder's heartbeat extends."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
    """The time of the last heartbeat."""
    until: Mapped[datetime]
