from __future__ import annotations

import errno
import math
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text

from autokd.errors import (
    ConflictError,
    NotFoundError,
    StorageFullError,
    StoreUnavailableError,
    StoreVersionError,
)
from autokd.store import Store
from autokd.store.database import from_json, parse_url, to_json, translated

ROOT = Path(__file__).parents[2]

_TEXT = st.text(st.characters(exclude_characters="$"))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
)


class TestOpen:
    def test_a_path_and_a_url_name_the_same_database(self, tmp_path: Path) -> None:
        with Store.open(tmp_path / "autokd.db") as store:
            store.create_study("a", {})
            assert store.files == tmp_path / "autokd.files"
        with Store.open(f"sqlite:///{tmp_path}/autokd.db") as store:
            assert [study.name for study in store.studies()] == ["a"]
            assert store.files == tmp_path / "autokd.files"
        with Store.open(store.url, create=False, files=tmp_path / "elsewhere") as store:
            assert store.study("a").folder == tmp_path / "elsewhere" / "studies" / "1"

    def test_a_store_stays_where_it_was_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        for url in ("autokd.db", "sqlite:///autokd.db"):
            with Store.open(url) as store:
                monkeypatch.chdir(tmp_path / "elsewhere")
                store.create_study(url, {})
                assert store.files == tmp_path / "autokd.files"
                with Store.open(store.url) as same:
                    assert same.studies() == store.studies()
            monkeypatch.chdir(tmp_path)
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_folders_on_the_way_are_made(self, tmp_path: Path) -> None:
        with Store.open(tmp_path / "a" / "b" / "autokd.db") as store:
            assert store.studies() == []

    def test_an_odd_file_name_is_no_url(self, tmp_path: Path) -> None:
        with Store.open(tmp_path / "50% off?.db") as store:
            store.create_study("a", {})
        assert (tmp_path / "50% off?.db").exists()

    def test_a_missing_database_is_an_error_when_it_may_not_be_made(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no database"):
            Store.open(tmp_path / "autokd.db", create=False)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "url",
        [
            "sqlite://",
            "sqlite:///:memory:",
            "postgres://me:secret@host/x",
            "mysql+oursql://x",
            "://",
        ],
    )
    def test_what_is_no_database_of_ours_is_refused(self, url: str) -> None:
        with pytest.raises(ConflictError, match="expected a") as error:
            Store.open(url)
        assert "secret" not in str(error.value)

    def test_a_server_needs_a_folder_for_files(self) -> None:
        pytest.importorskip("psycopg")
        with pytest.raises(ConflictError, match="expected a folder for the files") as error:
            Store.open("postgresql+psycopg://user:secret@localhost/name")
        assert "secret" not in str(error.value)

    def test_a_folder_is_no_database(self, tmp_path: Path) -> None:
        with pytest.raises(ConflictError, match="can not be opened"):
            Store.open(tmp_path)

    def test_processes_may_make_a_database_at_the_same_time(self, tmp_path: Path) -> None:
        code = (
            "import sys; from autokd.store import Store; sys.stdin.read();"
            "Store.open(sys.argv[1]).create_study(sys.argv[2], {})"
        )
        children = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path / "autokd.db"), name],
                stdin=subprocess.PIPE,
                cwd=ROOT,
            )
            for name in "abc"
        ]
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
        assert [child.wait() for child in children] == [0, 0, 0]
        with Store.open(tmp_path / "autokd.db") as store:
            assert sorted(study.name for study in store.studies()) == ["a", "b", "c"]

    def test_opening_a_database_of_this_version_loads_neither_alembic_nor_torch(
        self, tmp_path: Path
    ) -> None:
        Store.open(tmp_path / "autokd.db").close()
        code = (
            "import sys; from autokd.store import Store; Store.open(sys.argv[1]).studies();"
            "sys.exit(bool({'alembic', 'mako', 'torch'} & sys.modules.keys()))"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "autokd.db")]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0

    def test_sqlite_is_set_up_for_a_writer_beside_readers(self, tmp_path: Path) -> None:
        with Store.open(tmp_path / "autokd.db") as store, store._read() as session:
            found = {
                name: session.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert found == {
            "journal_mode": "wal",
            "synchronous": 1,
            "foreign_keys": 1,
            "busy_timeout": 30_000,
        }


class TestTransactions:
    def test_threads_share_a_store(self, store: Store) -> None:
        study = store.create_study("a", {})
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda index: store.add_event(study.id, "note", {"i": index}), range(40)))
        events = store.events(study.id, after=1)
        assert [event.number for event in events] == list(range(2, 42))
        assert sorted(event.data["i"] for event in events) == list(range(40))

    def test_a_reader_does_not_wait_for_a_writer(self, store: Store) -> None:
        with store._write() as session:
            session.execute(text("UPDATE study SET name = 'b'"))
            assert store.studies() == []

    def test_what_is_read_together_was_so_at_one_moment(self, store: Store) -> None:
        count = text("SELECT count(*) FROM study")
        with store._read() as session:
            assert session.scalar(count) == 0
            store.create_study("meanwhile", {})
            assert session.scalar(count) == 0
        assert len(store.studies()) == 1

    def test_a_closed_block_that_failed_leaves_the_store_usable(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), store._write():
            raise ZeroDivisionError
        assert store.create_study("a", {}).name == "a"


class TestRefusals:
    def test_a_full_disk_is_named_and_changes_nothing(self, tmp_path: Path) -> None:
        with Store.open(tmp_path / "autokd.db") as store:
            study = store.create_study("a", {})
            event.listen(store._engine, "checkout", _no_more_pages)
            with pytest.raises(StorageFullError, match="nothing was changed\nhint: free"):
                store.update_study(study.id, spec={"text": "x" * 10**6})
            assert store.studies() == [study]

    def test_a_full_disk_outside_the_database_is_named_too(self) -> None:
        with (
            pytest.raises(StorageFullError, match="no space left"),
            translated(parse_url("autokd.db")),
        ):
            raise OSError(errno.ENOSPC, "No space left on device")
        with pytest.raises(PermissionError), translated(parse_url("autokd.db")):
            raise PermissionError(errno.EACCES, "no")

    def test_a_database_locked_by_another_process_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "autokd.db"
        Store.open(path).close()
        other = sqlite3.connect(path, isolation_level=None)
        with Store.open(f"sqlite:///{path}?timeout=0.01") as store:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(ConflictError, match="is locked: another process writes"):
                store.create_study("a", {})
            other.execute("ROLLBACK")
            assert store.create_study("a", {}).name == "a"
        other.close()

    def test_a_database_that_can_only_be_read_is_named(self, tmp_path: Path) -> None:
        with Store.open(tmp_path / "autokd.db") as store:
            event.listen(store._engine, "checkout", _query_only)
            assert store.studies() == []
            with pytest.raises(ConflictError, match="can only be read"):
                store.create_study("a", {})

    def test_an_error_names_the_database_as_it_was_given(self, tmp_path: Path) -> None:
        with pytest.raises(ConflictError) as error:
            Store.open(tmp_path)
        assert f"sqlite:///{tmp_path} can not be opened" in error.value.message

    @pytest.mark.parametrize("instead", [None, "garbage", "another"])
    def test_a_database_whose_file_is_gone_is_named_and_found_again(
        self, tmp_path: Path, instead: str | None
    ) -> None:
        path, elsewhere = tmp_path / "autokd.db", tmp_path / "elsewhere.db"
        with Store.open(path) as store:
            study = store.create_study("digits", {})
            path.rename(elsewhere)
            if instead == "garbage":
                path.write_bytes(b"no database" * 1000)
            if instead == "another":
                Store.open(tmp_path / "another.db").close()
                (tmp_path / "another.db").rename(path)
            with pytest.raises(StoreUnavailableError, match=re.escape(f"{path} is gone, or")):
                store.change_study(study.id, labels={"too": "late"})
            elsewhere.replace(path)
            assert store.study("digits") == study

    def test_a_folder_that_can_not_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConflictError, match=r"file/autokd\.db can not be made: .*/file: "):
            Store.open(tmp_path / "file" / "autokd.db")

    def test_a_server_that_does_not_answer_is_named(self, tmp_path: Path) -> None:
        pytest.importorskip("psycopg")
        url = "postgresql+psycopg://user:secret@127.0.0.1:1/name"
        with pytest.raises(ConflictError, match="a server answers") as error:
            Store.open(url, files=tmp_path)
        assert "secret" not in str(error.value)

    def test_a_damaged_page_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "autokd.db"
        with Store.open(path) as store:
            for index in range(50):
                store.create_study(f"s{index}", {"text": "x" * 2000})
        content = bytearray(path.read_bytes())
        content[8192:] = b"\xff" * (len(content) - 8192)
        path.write_bytes(bytes(content))
        with pytest.raises(ConflictError, match="is damaged"), Store.open(path) as store:
            store.studies()

    def test_a_mistake_of_our_own_stays_what_it_is(self, tmp_path: Path) -> None:
        with (
            Store.open(tmp_path / "autokd.db") as store,
            pytest.raises(Exception, match="no such column") as error,
            store._read() as session,
        ):
            session.execute(text("SELECT absent FROM study"))
        assert not isinstance(error.value, ConflictError | StoreVersionError)


class TestJson:
    @given(_JSON)
    def test_data_comes_back(self, data: Any) -> None:
        assert from_json(to_json({"data": data})) == {"data": data}

    def test_what_json_lacks_comes_back_from_strict_text(self) -> None:
        data = {"a": [math.inf, -math.inf, {"b": math.nan}], "c": (0.5,), "d": {"$float": 3}}
        assert "NaN" not in to_json(data)
        read = from_json(to_json(data))
        assert read["a"][:2] == [math.inf, -math.inf]
        assert math.isnan(read["a"][2]["b"])
        assert (read["c"], read["d"]) == ([0.5], {"$float": 3})


def _no_more_pages(connection: sqlite3.Connection, *_: object) -> None:
    connection.execute("PRAGMA max_page_count = 1")  # SQLite takes what there is as the least.


def _query_only(connection: sqlite3.Connection, *_: object) -> None:
    connection.execute("PRAGMA query_only = ON")
