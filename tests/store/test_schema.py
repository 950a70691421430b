from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from autokd.errors import ConflictError, NotFoundError, StoreVersionError
from autokd.store import Store, schema
from autokd.store.database import connect, parse_url
from autokd.store.rows import Row

_NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    with op.batch_alter_table("study") as study:  # SQLite makes the table anew for this.
        study.alter_column("name", existing_type=sa.String(120), type_=sa.String(200))
        study.add_column(sa.Column("kin", sa.String(100)))
    {last}
"""


def _stamp(url: str, revision: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{revision}'"))
    engine.dispose()


class TestMigrations:
    def test_the_scripts_make_the_tables_of_the_models(self, store: Store) -> None:
        engine = connect(parse_url(store.url))
        with engine.connect() as connection:
            options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, Row.metadata) == []
            assert set(inspect(connection).get_table_names()) == {
                *Row.metadata.tables,
                schema.VERSION_TABLE,
            }
        engine.dispose()

    def test_the_known_versions_are_those_of_the_scripts(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(schema.SCRIPTS))
        config.set_main_option("path_separator", "os")
        scripts = ScriptDirectory.from_config(config)
        known = [script.revision for script in scripts.walk_revisions()]
        assert tuple(reversed(known)) == schema.REVISIONS

    def test_ids_of_deleted_studies_stay_unused_in_sqlite(self, tmp_path: Path) -> None:
        Store.open(tmp_path / "autokd.db").close()
        connection = sqlite3.connect(tmp_path / "autokd.db")
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'study'").fetchone()
        connection.close()
        assert "AUTOINCREMENT" in sql


class TestVersions:
    def test_an_older_database_is_refused_with_the_command_that_upgrades_it(
        self, store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "0003"))
        with pytest.raises(StoreVersionError, match="autokd db upgrade"):
            Store.open(url, files=tmp_path)

    def test_a_newer_database_is_refused(self, store: Store, url: str, tmp_path: Path) -> None:
        _stamp(url, "9999")
        for opening in (lambda: Store.open(url, files=tmp_path), lambda: Store.upgrade(url)):
            with pytest.raises(StoreVersionError, match="got version 9999 .*\nhint: .*newer"):
                opening()

    def test_a_database_of_another_program_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        connection = sqlite3.connect(tmp_path / "autokd.db")
        connection.execute("CREATE TABLE trials (id INTEGER)")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.close()
        content = (tmp_path / "autokd.db").read_bytes()
        for opening in (Store.open, Store.upgrade):
            with pytest.raises(StoreVersionError, match="is no autokd database: it has the tables"):
                opening(tmp_path / "autokd.db")
        assert (tmp_path / "autokd.db").read_bytes() == content

    def test_a_file_of_another_kind_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "autokd.db").write_text("weights, not tables\n" * 100)
        for opening in (Store.open, Store.upgrade):
            with pytest.raises(StoreVersionError, match="expected a SQLite file"):
                opening(tmp_path / "autokd.db")
        assert (tmp_path / "autokd.db").read_text().startswith("weights")

    def test_a_cut_off_database_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "autokd.db"
        Store.open(path).close()
        path.write_bytes(path.read_bytes()[:6000])
        with pytest.raises(ConflictError):
            Store.open(path)

    def test_an_empty_file_is_filled_if_it_may_be(self, tmp_path: Path) -> None:
        (tmp_path / "autokd.db").touch()
        with pytest.raises(NotFoundError, match="no autokd database"):
            Store.open(tmp_path / "autokd.db", create=False)
        with pytest.raises(NotFoundError, match="no autokd database"):
            Store.upgrade(tmp_path / "autokd.db")
        with Store.open(tmp_path / "autokd.db") as store:
            assert store.studies() == []


class TestUpgrade:
    def test_the_newest_version_is_left_as_it_is(self, store: Store, url: str) -> None:
        study = store.create_study("a", {})
        Store.upgrade(url)
        assert store.studies() == [study]

    def test_a_missing_database_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no database"):
            Store.upgrade(tmp_path / "autokd.db")

    def test_an_upgrade_keeps_every_row(
        self,
        store: Store,
        url: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        new_trial: Callable[..., object],
    ) -> None:
        new_trial()
        study = store.study("digits")
        trials, events = store.trials(study.id), store.events(study.id)
        store.close()
        _add_revision(monkeypatch, tmp_path, last="pass")
        Store.upgrade(url)
        with Store.open(url, files=store.files) as upgraded:
            assert upgraded.study("digits") == study
            assert (upgraded.trials(study.id), upgraded.events(study.id)) == (trials, events)
            with upgraded._read() as session:
                assert session.execute(text("SELECT kin FROM study")).scalar() is None

    def test_an_upgrade_that_fails_changes_nothing(
        self, store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        study = store.create_study("a", {})
        store.close()
        with monkeypatch.context() as patch:
            _add_revision(patch, tmp_path, last="raise ZeroDivisionError")
            with pytest.raises(ZeroDivisionError):
                Store.upgrade(url)
        with Store.open(url, files=store.files) as unchanged:
            assert unchanged.studies() == [study]
            with unchanged._read() as session:
                columns = inspect(session.connection()).get_columns("study")
                assert "kin" not in [column["name"] for column in columns]


def _add_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, last: str) -> None:
    """Pretend that this autokd has one more version, whose script ends with `last`."""
    scripts = tmp_path / "migrations"
    shutil.copytree(schema.SCRIPTS, scripts)
    (scripts / "versions" / "v0003_kin.py").write_text(_NEXT.format(last=last))
    monkeypatch.setattr(schema, "SCRIPTS", scripts)
    monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "0003"))
