"""Bundles of consecutive requests. Existing requests stay as bundles of one.

The columns that older services read and write stay, so that they work beside newer ones and a rollback is possible.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_SQLITE = """
UPDATE predictions SET asked = json_object(
    'request_ids', json_array(request_id), 'rows', json_array(rows),
    'at', json_array((julianday(at) - 2440587.5) * 86400), 'seconds', json_array(seconds)
)
"""
_POSTGRESQL = """
UPDATE predictions SET asked = json_build_object(
    'request_ids', json_build_array(request_id), 'rows', json_build_array(rows),
    'at', json_build_array(extract(epoch from at)), 'seconds', json_build_array(seconds)
)
"""


def upgrade() -> None:
    op.add_column("predictions", sa.Column("requests", sa.Integer, nullable=False, server_default="1"))
    op.add_column("predictions", sa.Column("asked", sa.JSON, nullable=False, server_default="{}"))
    op.execute(_SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL)


def downgrade() -> None:
    """Drop the columns. In each bundle, all request ids but the first are lost."""
    op.drop_column("predictions", "asked")
    op.drop_column("predictions", "requests")
