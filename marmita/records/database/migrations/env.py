"""How Alembic gets at the database: through the connection, and in the transaction, that it is given."""

from alembic import context

from marmita.records.database.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
