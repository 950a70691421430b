"""Files that are sent to a server, so that studies can name them."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from autokd.client.connection import Connection
from autokd.client.models import Upload
from autokd.errors import DataError, TeacherError

_CONTENT_SECONDS = 600.0
"""How long a server may look at what it was sent."""


class Uploads:
    """The uploads of a server; each is named by its id (`upl_3`), in study files too."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Iterator[Upload]:
        """All uploads."""
        return self._connection.items(Upload, "uploads")

    def send(self, path: Path, kind: Literal["teacher", "data"]) -> Upload:
        """Sends a file, unless the server has it already.

        Args:
            path: of it.
            kind: a teacher's weights (safetensors), or data (an `.npz` of arrays).

        Raises:
            DataError: there is no such data, or the server refuses it; says why.
            TeacherError: likewise for a teacher's weights.
        """
        wrong = TeacherError if kind == "teacher" else DataError
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
                known = self._known(kind, digest.hexdigest())
                if known is not None:
                    return known
                file.seek(0)
                told = {"kind": kind, "name": path.name}
                made = self._connection.ask(Upload, "POST", "uploads", body=told)
                return self._connection.ask(
                    Upload,
                    "PUT",
                    f"{_path(made.id)}/content",
                    content=file,
                    headers={"Repr-Digest": f"sha-256=:{b64encode(digest.digest()).decode()}:"},
                    timeout=_CONTENT_SECONDS,
                )
        except FileNotFoundError as error:
            raise wrong(f"there is no file {path}", hint="check the path") from error
        except DataError as error:
            raise wrong(f"the server refuses {path}: {error.message}", hint=error.hint) from error

    def delete(self, upload: str) -> None:
        """Removes an upload. Raises NotFoundError."""
        self._connection.ask(type(None), "DELETE", _path(upload))

    def _known(self, kind: str, digest: str) -> Upload | None:
        return next(
            (
                each
                for each in self.list()
                if (each.kind, each.sha256, each.state) == (kind, digest, "ready")
            ),
            None,
        )


def _path(upload: str) -> str:
    return f"uploads/{quote(upload, safe='')}"
