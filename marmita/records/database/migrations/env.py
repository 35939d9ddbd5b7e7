"""Alembic's environment: migrations use the connection, and its transaction, that the caller passes."""

from alembic import context

from marmita.records.database.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
