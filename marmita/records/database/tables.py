"""What is remembered, as tables. `migrations` makes them."""

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
    """A point in time, in UTC wherever it is kept. SQLite has no time zones."""

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
    """All tables."""

    type_annotation_map = {datetime: Moment(), dict[str, Any]: JSON(), list[str]: JSON()}  # noqa: RUF012  as SQLAlchemy wants it


class Price(Base):
    """One stock's day. Prices are adjusted for all splits known when they were fetched, and for no dividend."""

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
    """Days of a stock that were fetched, with and without trade on them: they are not fetched again."""

    __tablename__ = "price_ranges"

    ticker: Mapped[str] = mapped_column(String(32), primary_key=True)
    first_day: Mapped[date] = mapped_column(primary_key=True)
    last_day: Mapped[date]
    fetched_at: Mapped[datetime]


class Prediction(Base):
    """What requests that came one after another asked of a version of a model, and what it said.

    Inputs and outputs are single-precision numbers as the model takes and gives them, row by row, little end first.
    A row goes by `<id>-<row>`, counted from 0 through all of these requests.
    """

    __tablename__ = "predictions"
    __table_args__ = (Index("predictions_by_model_and_time", "model", "at"), Index("predictions_by_time", "at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(128))
    """Of the first of them. A service from before they were kept together reads and writes this, and `seconds`."""
    at: Mapped[datetime]
    """When the first of them was answered."""
    seconds: Mapped[float]
    """Their mean."""
    requests: Mapped[int] = mapped_column(server_default="1")
    asked: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Of each request, in lists of the same order: `request_ids`, how many `rows`, when (`at`, in seconds since 1970),
    and the `seconds` from when its rows were there until the model had answered, with the wait for its batch."""
    rows: Mapped[int]
    inputs: Mapped[bytes] = mapped_column(LargeBinary)
    outputs: Mapped[bytes] = mapped_column(LargeBinary)


class Forecast(Base):
    """Which stock a predicted row is about, and its last day: so that prices can label it when the days come."""

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
    """The first step that prices have not labelled, or nothing after the last one."""


class Label(Base):
    """The truth about a predicted row, or about one step of it."""

    __tablename__ = "labels"

    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    """Counted from 1, of a forecast of many days; 0 if there is one truth for the row."""
    value: Mapped[float]
    """A number, or the place of the true class among the model's classes."""
    at: Mapped[datetime]


class TrainingRun(Base):
    """One try to make a better model."""

    __tablename__ = "training_runs"
    __table_args__ = (Index("training_runs_by_model_and_time", "model", "started_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    """`running`, `promoted`, `rejected`, `failed` or `interrupted`."""
    reason: Mapped[str] = mapped_column(Text)
    """Why it ended as it did; empty while it runs."""
    tag: Mapped[str | None] = mapped_column(String(128))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    scores: Mapped[dict[str, Any]]


class Measurement(Base):
    """How good a model was, and how far its inputs had drifted, over a window of time."""

    __tablename__ = "quality_measurements"
    __table_args__ = (Index("quality_measurements_by_model_and_time", "model", "at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    window_s: Mapped[float]
    figures: Mapped[dict[str, Any]]


class Decision(Base):
    """What a shepherd saw of a model, what it decided, and what came of it."""

    __tablename__ = "decisions"
    __table_args__ = (Index("decisions_by_model_and_time", "model", "at"), Index("decisions_by_time", "at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(16))
    """`leave`, `retrain`, or `delete` old versions."""
    reasons: Mapped[list[str]]
    evidence: Mapped[dict[str, Any]]
    """The figures that it was made from."""
    runs: Mapped[list[str]]
    """The ids of the training runs that may come of it."""
    outcome: Mapped[str | None] = mapped_column(String(16))
    """`left`, `promoted`, `rejected`, `failed`, `interrupted` or `deleted`; nothing while it is under way."""
    detail: Mapped[str] = mapped_column(Text)
    tag: Mapped[str | None] = mapped_column(String(128))
    """The version that was made last."""
    ended_at: Mapped[datetime | None]


class Lease(Base):
    """Who alone may do something, and until when: its holder asks for more time again and again."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
    """When the holder was last there."""
    until: Mapped[datetime]
