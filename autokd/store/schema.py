"""The version of a database's tables, and how an older one becomes the newest.

The known versions stand here as text so that a database of the newest one opens without loading
Alembic; a test holds them equal to the scripts in `migrations/`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import column, inspect, select, table
from sqlalchemy.engine import URL, Connection

from autokd.errors import NotFoundError, StoreVersionError
from autokd.store.database import connect, sqlite_path, translated, writing

REVISIONS = ("0001", "0002", "0003")
"""Every version, oldest first."""

VERSION_TABLE = "autokd_version"
SCRIPTS = Path(__file__).parent / "migrations"


def prepare(url: URL, *, create: bool) -> None:
    """Make sure that the database has the tables of the newest version; fill an empty one.

    Raises:
        NotFoundError: it is empty and must not be created.
        StoreVersionError: it is of another version, or not ours.
    """
    revision = _revision(url)
    if revision is None:
        if not create:
            raise _missing(url)
        _migrate(url)
    elif revision != REVISIONS[-1]:
        if revision not in REVISIONS:
            raise _too_new(url, revision)
        raise StoreVersionError(
            f"expected a database of version {REVISIONS[-1]}, got version {revision} "
            f"in {url.render_as_string()}",
            hint="run `autokd db upgrade`",
        )


def upgrade(url: URL) -> None:
    """Bring a database to the newest version in one transaction; the newest is left as it is.

    A SQLite file is copied first: `autokd.db` of version 0001 is kept as `autokd.db.0001`.

    Raises:
        NotFoundError: there is no database.
        StoreVersionError: it is newer than this autokd, or not ours.
    """
    revision = _revision(url)
    if revision is None:
        raise _missing(url)
    if revision not in REVISIONS:
        raise _too_new(url, revision)
    if revision != REVISIONS[-1]:
        path = sqlite_path(url)
        if path is not None:
            with translated(url):
                _copy(path, path.with_name(f"{path.name}.{revision}"))
        _migrate(url)


def _copy(path: Path, copy: Path) -> None:
    """A whole copy of a database, of what is still in its log too."""
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def _revision(url: URL) -> str | None:
    """Version of the tables, None if there are no tables. Raises StoreVersionError if not ours."""
    engine = connect(url)
    try:
        with translated(url), engine.begin() as connection:
            tables = inspect(connection).get_table_names()
            if not tables:
                return None
            revision = _written_revision(connection) if VERSION_TABLE in tables else None
    finally:
        engine.dispose()
    if revision is None:
        raise StoreVersionError(
            f"{url.render_as_string()} is no autokd database: it has the tables {sorted(tables)}",
            hint="name another database",
        )
    return revision


def _written_revision(connection: Connection) -> str | None:
    versions = table(VERSION_TABLE, column("version_num"))
    revision: str | None = connection.execute(select(versions.c.version_num)).scalar()
    return revision


def _migrate(url: URL) -> None:
    """Run the missing scripts, all in one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    engine = connect(url, migrates=True)
    try:
        with translated(url), writing(engine) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, REVISIONS[-1])
    finally:
        engine.dispose()


def _missing(url: URL) -> NotFoundError:
    return NotFoundError(
        f"there is no autokd database at {url.render_as_string()}",
        hint="start a search, which makes one, or name another database",
    )


def _too_new(url: URL, revision: str) -> StoreVersionError:
    return StoreVersionError(
        f"expected a database of version {REVISIONS[-1]} or older, got version {revision} "
        f"in {url.render_as_string()}",
        hint="it was written by a newer autokd: `pip install --upgrade autokd`",
    )
