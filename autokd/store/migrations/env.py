"""Alembic's entry point: runs the scripts on the connection that `autokd.store.schema` opened."""

from __future__ import annotations

from alembic import context

from autokd.store.rows import Row
from autokd.store.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
