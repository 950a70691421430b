from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from autokd.errors import ConflictError, NotFoundError, StoreVersionError
from autokd.store import Store, schema
from autokd.store.database import connect, parse_url, writing
from autokd.store.rows import Row

_NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


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


@pytest.fixture
def first(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A database of version 0001, with a row in every table."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "REVISIONS", ("0001",))
        schema.prepare(parse_url(url), create=True)
    engine = connect(parse_url(url))
    rows = Path(__file__).with_name("version_0001.sql").read_text(encoding="utf-8")
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TIME ZONE 'UTC'")
        for statement in rows.split(";\n"):
            connection.exec_driver_sql(statement)
    yield engine
    engine.dispose()


def _rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, as they are written."""
    with engine.connect() as connection:
        return {
            table: sorted(
                map(dict, connection.exec_driver_sql(f"SELECT * FROM {table}").mappings()), key=str
            )
            for table in inspect(connection).get_table_names()
            if table != schema.VERSION_TABLE
        }


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
        monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "0004"))
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


class TestUpgradeFromTheFirstVersion:
    def test_a_sqlite_file_is_copied_before_it_is_changed(
        self, first: Engine, url: str, tmp_path: Path
    ) -> None:
        before = _rows(first)
        Store.upgrade(url)
        copy = tmp_path / "autokd.db.0001"
        if not url.startswith("sqlite"):
            assert not copy.exists()
            return
        engine = create_engine(f"sqlite:///{copy}")
        assert _rows(engine) == before
        engine.dispose()

    def test_every_row_is_kept_and_the_new_tables_are_empty(self, first: Engine, url: str) -> None:
        before = _rows(first)
        assert all(before.values())
        Store.upgrade(url)
        after = _rows(first)
        for table, rows in before.items():
            columns = rows[0].keys()
            kept = [{name: row[name] for name in columns} for row in after[table]]
            assert (table, kept) == (table, rows)
        assert set(after) == set(Row.metadata.tables)
        assert not any(after[table] for table in after.keys() - before.keys())

    def test_studies_and_trials_are_as_new_ones_would_be(
        self, first: Engine, url: str, tmp_path: Path
    ) -> None:
        Store.upgrade(url)
        with Store.open(url, files=tmp_path / "files") as store:
            begun, fresh = store.studies()
            assert (begun.name, begun.spec, begun.state) == ("begun", {"seed": 1}, "running")
            assert begun.teacher == {"accuracy": 0.5}
            for study in (begun, fresh):
                assert (study.wish, study.error, study.labels) == (None, None, {})
                assert (study.owner, study.deleted, study.version) == (None, None, 1)
            assert (begun.events, fresh.events) == (2, 0)
            assert begun.updated == datetime(2026, 1, 2, 3, 4, 6, 500_000, UTC)
            assert fresh.updated == fresh.created == datetime(2026, 2, 1, tzinfo=UTC)
            (trial,) = store.trials(begun.id)
            assert store.trials(begun.id, changed_after=begun.events) == []
            assert trial.architecture.choices == {"width": 16}
            assert store.learning_curve(begun.id, 0) == {"loss": [(1, 0.25)]}
            assert store.calibration(begun.id, 0) == {}
            assert [each.size_bytes for each in store.artifacts(begun.id)] == [2**40]

    def test_all_goes_on_where_it_was(self, first: Engine, url: str, tmp_path: Path) -> None:
        Store.upgrade(url)
        with Store.open(url, files=tmp_path / "files") as store:
            seen = store.last_event()
            (attempt,) = store.running_attempts(1)
            store.record_epoch(attempt.id, attempt.token, 2, {"loss": 0.125})
            changed = store.change_study(1, name="gone on", labels={"a": "b"})
            assert changed.events == 4
            assert [event.number for event in store.all_events(after=seen)] == [3, 4]
            assert store.create_study("new", {}).id == 3

    def test_a_study_still_takes_with_it_what_belongs_to_it(
        self, first: Engine, url: str, tmp_path: Path
    ) -> None:
        Store.upgrade(url)
        with Store.open(url, files=tmp_path / "files") as store:
            seen = store.last_event()
            for study in store.studies():
                store.delete_study(study.id)
            assert not any(_rows(first).values())
            assert store.create_study("new", {}).id == 3
            assert store.last_event() > seen


def _add_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, last: str) -> None:
    """Pretend that this autokd has one more version, whose script ends with `last`."""
    scripts = tmp_path / "migrations"
    shutil.copytree(schema.SCRIPTS, scripts)
    (scripts / "versions" / "v0004_kin.py").write_text(_NEXT.format(last=last))
    monkeypatch.setattr(schema, "SCRIPTS", scripts)
    monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "0004"))
