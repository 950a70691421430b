"""Files that users sent, in the record; their content lies in the folder of files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from autokd.errors import ConflictError, NotFoundError
from autokd.store.database import Database
from autokd.store.service_records import UploadRecord
from autokd.store.service_rows import UploadRow

_SUFFIX = {"teacher": ".safetensors", "data": ".npz"}


class Uploads(Database):
    """Announce an upload, record its content, forget it."""

    def add_upload(self, kind: str, name: str, owner: int | None = None) -> UploadRecord:
        """Record that a file will come."""
        with self._write() as session:
            row = UploadRow(
                kind=kind,
                name=name,
                state="waiting",
                size_bytes=0,
                created=datetime.now(UTC),
                owner=owner,
            )
            session.add(row)
            session.flush()
            session.refresh(row)
            return UploadRecord.of(row)

    def end_upload(
        self,
        upload_id: int,
        *,
        size_bytes: int,
        sha256: str | None,
        summary: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> UploadRecord:
        """Record that its content has arrived: ready, or refused if there is an error.

        Raises:
            NotFoundError: no such upload.
            ConflictError: it has its content already.
        """
        with self._write() as session:
            row = _find(session, upload_id)
            if row.state == "ready":
                raise ConflictError(
                    f"upload {upload_id} has its content already", hint="make another upload"
                )
            row.state = "ready" if error is None else "refused"
            row.size_bytes, row.sha256 = size_bytes, sha256
            row.summary, row.error = dict(summary) if summary else None, error
            return UploadRecord.of(row)

    def upload(self, upload_id: int) -> UploadRecord:
        """One upload. Raises NotFoundError."""
        with self._read() as session:
            return UploadRecord.of(_find(session, upload_id))

    def uploads(self) -> list[UploadRecord]:
        """All uploads, oldest first."""
        with self._read() as session:
            rows = session.scalars(select(UploadRow).order_by(UploadRow.id))
            return [UploadRecord.of(row) for row in rows]

    def uploaded_bytes(self, owner: int | None) -> int:
        """Bytes of all uploads of one token."""
        with self._read() as session:
            total = select(func.coalesce(func.sum(UploadRow.size_bytes), 0)).where(
                UploadRow.owner == owner
            )
            return int(session.scalars(total).one())

    def remove_upload(self, upload_id: int) -> None:
        """Forget an upload; the caller deletes its file. Raises NotFoundError."""
        with self._write() as session:
            session.delete(_find(session, upload_id))

    def upload_path(self, upload: UploadRecord) -> Path:
        """Where the content of an upload lies, once it has arrived."""
        return self.files / "uploads" / f"{upload.id}{_SUFFIX[upload.kind]}"


def _find(session: Session, upload_id: int) -> UploadRow:
    row = session.get(UploadRow, upload_id)
    if row is None:
        raise NotFoundError(f"there is no upload {upload_id}")
    return row
