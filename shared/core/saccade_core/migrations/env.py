"""Alembic's environment: the connection comes from saccade_core.records.database.Database.migrate."""

from alembic import context

from saccade_core.records import model_tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=model_tables.ModelRow.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
