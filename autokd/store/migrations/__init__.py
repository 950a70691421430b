"""Alembic's scripts: one file per version of the tables, run by `autokd.store.schema`."""
