"""How Alembic gets at the database: through the connection that it is given, or for a new revision by a URL."""

import os

from alembic import context

from records.database import Database
from records.tables import Table

connection = context.config.attributes.get("connection")
if connection is not None:
    context.configure(connection=connection, target_metadata=Table.metadata, transactional_ddl=False)
    context.run_migrations()
else:
    with Database(os.environ["MARMITA_DATABASE_URL"]).writing() as session:
        context.configure(connection=session.connection(), target_metadata=Table.metadata, transactional_ddl=False)
        context.run_migrations()
