"""Alembic's entry point: runs the scripts on the connection that `autokd.store.schema` opened."""

from __future__ import annotations

from alembic import context

from autokd.store import service_rows  # defines the last of the tables
from autokd.store.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=service_rows.OperationRow.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
