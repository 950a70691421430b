"""The connection to the database: transactions, pragmas, JSON text and refused writes."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from autokd.errors import (
    NO_ROOM,
    AutokdError,
    ConflictError,
    StorageFullError,
    StoreUnavailableError,
    StoreVersionError,
)

_BUSY_SECONDS = 30
_CONNECTIONS = 50
"""Of one process: more than a server has threads, since one that waits to write keeps its own."""

_WRITES = "autokd_writes"
_UNAVAILABLE = ("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM", "SQLITE_AUTH", "08", "57P")
"""No connection (08), or a server that shuts down (57P)."""

_NOT_FINITE = "$float"
_SPELLINGS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Database:
    """One database and the folder of its files; every transaction is `_read` or `_write`.

    Attributes:
        url: SQLAlchemy URL, with the password if it has one.
        files: folder for logs, checkpoints and exports.
    """

    def __init__(self, url: URL, files: Path) -> None:
        self.url = url.render_as_string(hide_password=False)
        self.files = files
        self._engine = self._reads = connect(url, exists=True)
        if url.get_backend_name() == "postgresql":
            # There each statement of a transaction sees what others have committed by then, unless
            # it is asked for one view. Writers lock what they read, and then want the newest of it.
            self._reads = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._writes = self._engine.execution_options(**{_WRITES: True})
        self._joint = threading.local()

    def close(self) -> None:
        """Close all connections. The store can not be used afterwards."""
        self._engine.dispose()

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction of all that this thread reads and writes in the block."""
        with self._write() as session:
            before = getattr(self._joint, "session", None)
            self._joint.session = session
            try:
                yield
            finally:
                self._joint.session = before

    @contextmanager
    def _read(self) -> Iterator[Session]:
        """One consistent view of the record."""
        with self._transaction(self._reads) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        """One transaction: all of it is committed when the block ends, or nothing at all."""
        with self._transaction(self._writes) as session:
            yield session

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        joint: Session | None = getattr(self._joint, "session", None)
        if joint is not None:
            yield joint
            joint.flush()
            return
        with translated(engine.url), Session(engine) as session, session.begin():
            yield session


def parse_url(url: str | Path) -> URL:
    """The URL of a plain path or URL. Raises ConflictError if it is neither."""
    if "://" not in str(url):
        return URL.create("sqlite", database=str(Path(url).expanduser().absolute()))
    try:
        parsed = make_url(str(url))
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        # The rest of the URL may hold a password.
        raise ConflictError(
            f"expected a path or a database URL, got {str(url).partition('://')[0]}://…: {error}",
            hint="write autokd.db, sqlite:///autokd.db or postgresql+psycopg://user@host/name",
        ) from error
    if parsed.get_backend_name() != "sqlite":
        return parsed
    if parsed.database in (None, "", ":memory:"):
        raise ConflictError(
            "expected a database in a file, got one in memory, which no restart would find again",
            hint="write autokd.db or sqlite:///autokd.db",
        )
    path = sqlite_path(parsed)
    return parsed.set(database=str(path)) if path else parsed


def sqlite_path(url: URL) -> Path | None:
    """The database file, or None if the database is no plain SQLite file."""
    if url.get_backend_name() != "sqlite" or not url.database or url.query.get("uri"):
        return None
    return Path(url.database).absolute()


def connect(url: URL, *, exists: bool = False, migrates: bool = False) -> Engine:
    """An engine; nothing is opened yet.

    Args:
        url: a parsed URL.
        exists: whether there must be a database: in place of a file that was moved away since,
            SQLite would make an empty one.
        migrates: whether it is to make or replace tables. SQLite then keeps its log in a second
            file (WAL, for good), and does not delete the rows that refer to a replaced table.
    """
    if url.get_backend_name() != "sqlite":
        return create_engine(
            url,
            json_serializer=to_json,
            json_deserializer=from_json,
            pool_pre_ping=True,  # a server may have been restarted since
            pool_size=_CONNECTIONS,
        )
    engine = create_engine(
        url,
        json_serializer=to_json,
        json_deserializer=from_json,
        pool_size=_CONNECTIONS,
        connect_args={} if "timeout" in url.query else {"timeout": _BUSY_SECONDS},
    )

    path = sqlite_path(url)

    opened: list[tuple[int, int]] = []

    @event.listens_for(engine, "do_connect")
    @event.listens_for(engine, "checkout")
    def _require_same_file(*_arguments: object) -> None:
        # What is written to a file that was moved away would be lost. Another one in its place is
        # not for us: SQLite would apply the log of the former to it.
        found = _identity(path)
        if exists and path is not None and (found is None or opened and found != opened[0]):
            raise StoreUnavailableError(
                f"the database {path} is gone, or another file is in its place",
                hint="bring the former file back, or start again; nothing was changed",
            )
        if found is not None and not opened:
            opened.append(found)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        # Python's driver begins transactions of its own, late and only before writes; we do it.
        connection.isolation_level = None
        if migrates:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'OFF' if migrates else 'ON'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that becomes a writer can not wait for another writer, so writers begin as such.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _identity(path: Path | None) -> tuple[int, int] | None:
    """What tells a file from another one at the same path; None if there is none."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection in one writing transaction."""
    with engine.execution_options(**{_WRITES: True}).begin() as connection:
        yield connection


def to_json(value: Any) -> str:
    """Strict JSON text. NaN and infinities, which JSON lacks, become `{"$float": "nan"}` and so on.

    Data that already looks like that would come back as the float.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_spelled(value), allow_nan=False)


def from_json(text: str | bytes) -> Any:
    """The value that `to_json` wrote (PostgreSQL's driver hands it over as bytes)."""
    text = text.decode() if isinstance(text, bytes) else text
    return json.loads(text, object_hook=_unspelled if _NOT_FINITE in text else None)


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_NOT_FINITE: str(float(value))}
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    return value


def _unspelled(data: dict[str, Any]) -> Any:
    spelling = data.get(_NOT_FINITE)
    if len(data) == 1 and isinstance(spelling, str):
        return _SPELLINGS.get(spelling, data)
    return data


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn what the database or the file system refuses into an error with a hint."""
    try:
        yield
    except DBAPIError as error:
        if error.orig is None:
            raise
        raise _translation(error.orig, url) or error from error
    except PoolTimeoutError as error:
        raise StoreUnavailableError(
            "all connections to the database are busy", hint="try again in a moment"
        ) from error
    except sqlite3.Error as error:
        # Raised while a connection is set up, before SQLAlchemy can wrap it.
        raise _translation(error, url) or error from error
    except OSError as error:
        if isinstance(error, AutokdError) or error.errno not in NO_ROOM:
            raise
        raise _full(url, error) from error


def _translation(error: BaseException, url: URL) -> AutokdError | None:
    """The error to raise instead, or None for a mistake in our own statements."""
    # SQLite's names have a suffix for the detail (SQLITE_BUSY_SNAPSHOT); PostgreSQL's are numbers.
    code: str = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""
    place = url.render_as_string()
    if code.startswith(("SQLITE_FULL", "53100")):
        return _full(url, error)
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "55P03", "40001", "40P01")):
        return StoreUnavailableError(
            f"the database {place} is locked: another process writes to it ({error})",
            hint="wait for the other process or end it, then do this again",
        )
    if code.startswith(("SQLITE_READONLY", "25006")):
        return StoreUnavailableError(
            f"the database {place} can only be read ({error})",
            hint="make the file and its folder writable, or name another database",
        )
    if code.startswith("SQLITE_NOTADB"):
        return StoreVersionError(
            f"{place} is no autokd database: expected a SQLite file",
            hint="name another file, or move this one away",
        )
    if code == "42P01" or str(error).startswith("no such table"):
        return StoreVersionError(
            f"{place} is no autokd database any more ({error})",
            hint="somebody has replaced it: bring the former one back, or name another",
        )
    if code.startswith("SQLITE_CORRUPT"):
        return StoreUnavailableError(
            f"the database {place} is damaged ({error})",
            hint="restore it from a backup; `sqlite3 FILE .recover` saves what can be saved",
        )
    if code.startswith(_UNAVAILABLE) or (not code and type(error).__name__ == "OperationalError"):
        return StoreUnavailableError(
            f"the database {place} can not be opened, read or written ({error})",
            hint="check that its folder exists, that it may be written, and that a server answers",
        )
    return None


def _full(url: URL, error: BaseException) -> StorageFullError:
    return StorageFullError(
        f"no space left for the database {url.render_as_string()} ({error}); nothing was changed",
        hint="free some space, then continue the study: the record is intact",
    )
