"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "prices",
        sa.Column("ticker", sa.String(32), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("open", "high", "low", "close")),
        sa.Column("volume", sa.BigInteger, nullable=False),
        sa.Column("dividend", sa.Double, nullable=False),
        sa.Column("split", sa.Double, nullable=False),
        sa.Column("fetched_at", MOMENT, nullable=False),
    )
    op.create_table(
        "price_ranges",
        sa.Column("ticker", sa.String(32), primary_key=True),
        sa.Column("first_day", sa.Date, primary_key=True),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("fetched_at", MOMENT, nullable=False),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("inputs", sa.LargeBinary, nullable=False),
        sa.Column("outputs", sa.LargeBinary, nullable=False),
    )
    op.create_index("predictions_by_model_and_time", "predictions", ["model", "at"])
    op.create_index("predictions_by_time", "predictions", ["at"])
    op.create_table(
        "forecasts",
        sa.Column(
            "prediction_id", sa.String(32), sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("ticker", sa.String(32), nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("next_step", sa.Integer, server_default="1"),
    )
    op.create_index(
        "forecasts_that_wait",
        "forecasts",
        ["ticker", "as_of", "next_step", "prediction_id", "row"],
        sqlite_where=sa.text("next_step IS NOT NULL"),
        postgresql_where=sa.text("next_step IS NOT NULL"),
    )
    op.create_table(
        "labels",
        sa.Column(
            "prediction_id", sa.String(32), sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )
    op.create_table(
        "training_runs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("tag", sa.String(128)),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("scores", sa.JSON, nullable=False),
    )
    op.create_index("training_runs_by_model_and_time", "training_runs", ["model", "started_at"])
    op.create_table(
        "quality_measurements",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("window_s", sa.Double, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
    )
    op.create_index("quality_measurements_by_model_and_time", "quality_measurements", ["model", "at"])


def downgrade() -> None:
    for table in (
        "quality_measurements",
        "training_runs",
        "labels",
        "forecasts",
        "predictions",
        "price_ranges",
        "prices",
    ):
        op.drop_table(table)
