"""The shepherd's decisions and leases."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("reasons", "evidence", "runs")),
        sa.Column("outcome", sa.String(16)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("tag", sa.String(128)),
        sa.Column("ended_at", MOMENT),
    )
    op.create_index("decisions_by_model_and_time", "decisions", ["model", "at"])
    op.create_index("decisions_by_time", "decisions", ["at"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(128), nullable=False),
        *(sa.Column(name, MOMENT, nullable=False) for name in ("since", "seen_at", "until")),
    )


def downgrade() -> None:
    for table in ("leases", "decisions"):
        op.drop_table(table)
