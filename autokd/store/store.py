"""The record: the only state of autokd, and the only code that touches the database."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.engine import URL

from autokd.errors import AutokdError, ConflictError, NotFoundError
from autokd.store import schema
from autokd.store.access import Access
from autokd.store.attempts import Attempts
from autokd.store.database import parse_url, sqlite_path, translated
from autokd.store.journal import Journal
from autokd.store.operations import Operations
from autokd.store.studies import Studies
from autokd.store.trials import Trials
from autokd.store.uploads import Uploads
from autokd.store.webhooks import Webhooks


class Store(Studies, Trials, Attempts, Journal, Operations, Access, Webhooks, Uploads):
    """Studies with all that belongs to them, and the service's own record, in one database.

    Values go in and values come out; every method is one transaction, so that a crash at any
    moment leaves a record that can be continued. Threads may share a store.
    """

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True, files: str | Path | None = None) -> Self:
        """Open a database, and make it if it is missing or empty.

        Args:
            url: a path of a SQLite file, or an SQLAlchemy URL.
            create: whether it may be made.
            files: folder for logs, checkpoints and exports; left out: beside the SQLite file, with
                its name (`autokd.db` has `autokd.files/`).

        Raises:
            NotFoundError: there is none, and it may not be made.
            StoreVersionError: it is of another version of autokd, or not ours.
            ConflictError: it can not be opened, or no folder for files follows from the URL.
        """
        parsed = parse_url(url)
        path = sqlite_path(parsed)
        folder = path.with_suffix(".files") if path and not files else files
        if not folder:
            raise ConflictError(
                f"expected a folder for the files of {parsed.render_as_string()}, got none",
                hint="pass `files`; for commands: --files, or AUTOKD_FILES",
            )
        _require_file(parsed, path, create=create)
        schema.prepare(parsed, create=create)
        return cls(parsed, Path(folder).expanduser().absolute())

    @staticmethod
    def upgrade(url: str | Path) -> None:
        """Bring a database of an older version to this one, all of it or nothing.

        Raises:
            NotFoundError: there is none.
            StoreVersionError: it is newer than this autokd, or not ours.
        """
        parsed = parse_url(url)
        _require_file(parsed, sqlite_path(parsed), create=False)
        schema.upgrade(parsed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _require_file(url: URL, path: Path | None, *, create: bool) -> None:
    """The file, or the folder it will lie in; SQLite would say less clearly what is missing."""
    if path is None or path.exists():
        return
    if not create:
        raise NotFoundError(
            f"there is no database {path}",
            hint="start a search, which makes one, or name another database",
        )
    try:
        with translated(url):
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, AutokdError):
            raise
        raise ConflictError(
            f"the database {path} can not be made: {error.filename}: {error.strerror}",
            hint="name another database, in a folder that is there or can be made",
        ) from error
