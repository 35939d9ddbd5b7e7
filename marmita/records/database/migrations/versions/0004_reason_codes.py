"""The codes of the reasons of decisions. Existing decisions have none.

The column with the texts stays. Older services read and write it, and leave the list of codes empty, so that they work
beside newer ones and a rollback is possible.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("decisions", sa.Column("reason_codes", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("decisions", "reason_codes")
