"""A student's files, from the server to a folder: all of them as they should be, or none."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import get_args
from urllib.parse import quote

from autokd.client import retrying
from autokd.client.connection import Connection
from autokd.client.models import Export, ExportedFile
from autokd.errors import AutokdError, ServerUnreachableError, VerificationError
from autokd.spec import ExportFormat


def download(connection: Connection, export: Export, folder: Path) -> None:
    """Writes the files of an export into a folder, which is made if it is missing.

    An older student in it is replaced, other files stay.

    Raises:
        VerificationError: a file is not what the server says it is.
        ServerUnreachableError: the server does not answer, or breaks off again and again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".downloading-") as workplace:
        partial = Path(workplace)
        for file in export.files:
            _fetch(connection, export, file, partial / _plain(file.name))
        new = {path.name for path in partial.iterdir()}
        for name in new:
            (partial / name).replace(folder / name)
        for name in {f"student.{kind}" for kind in get_args(ExportFormat)} - new:
            (folder / name).unlink(missing_ok=True)


def _plain(name: str) -> str:
    """The name of a file in a folder, and nothing that leads out of it."""
    if name in ("", ".", "..") or not name.isprintable() or set(name) & set('/\\:"'):
        raise AutokdError(f"the server names a file {name!r}, which is no name of a file")
    return name


def _fetch(connection: Connection, export: Export, file: ExportedFile, path: Path) -> None:
    """Downloads a file; one that breaks off goes on where it was."""
    address = f"exports/{quote(export.id, safe='')}/files/{quote(file.name, safe='')}"
    path.touch()
    for wait in (*retrying.WAITS, None):
        have = path.stat().st_size
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with (
                connection.answer("GET", address, headers=headers) as answer,
                path.open("ab" if answer.status_code == 206 else "wb") as target,
            ):
                for piece in answer.iter_bytes():
                    target.write(piece)
            break
        except ServerUnreachableError:
            if wait is None:
                raise
            retrying.pause(wait)
    with path.open("rb") as content:
        got = hashlib.file_digest(content, "sha256").hexdigest()
    if got != file.sha256:
        raise VerificationError(
            f"{file.name}: expected SHA-256 {file.sha256}, got {got}",
            hint="ask for the export again",
        )
