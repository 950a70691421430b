"""Events and artefacts of a study."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from autokd.store.database import Database
from autokd.store.lookup import find_study, find_trial, lock_study
from autokd.store.records import ArtifactRecord, EventRecord
from autokd.store.rows import ArtifactRow, EventRow, StudyRow, TrialRow

_EVENTS = 0x6175746F6B64
"""Key of PostgreSQL's advisory lock on the numbering of events."""


class Journal(Database):
    """What happened in a study, and the files it made."""

    def add_event(self, study_id: int, kind: str, data: Mapping[str, Any]) -> EventRecord:
        """Record that something happened. Changes of state are recorded by themselves.

        Raises:
            NotFoundError: no such study.
        """
        with self._write() as session:
            lock_study(session, study_id)
            row = log(session, study_id, kind, data)
            session.flush()
            session.refresh(row)
            return _event(row)

    def events(self, study_id: int, after: int = 0, limit: int = 1000) -> list[EventRecord]:
        """The first `limit` events whose number is above `after`, in order."""
        with self._read() as session:
            find_study(session, study_id)
            rows = session.scalars(
                select(EventRow)
                .where(EventRow.study_id == study_id, EventRow.number > after)
                .order_by(EventRow.number)
                .limit(limit)
            )
            return [_event(row) for row in rows]

    def newest_event(self, study_id: int, kind: str) -> EventRecord | None:
        """The last event of one kind in a study; None if there is none."""
        with self._read() as session:
            row = session.scalar(
                select(EventRow)
                .where(EventRow.study_id == study_id, EventRow.kind == kind)
                .order_by(EventRow.number.desc())
                .limit(1)
            )
            return None if row is None else _event(row)

    def all_events(self, after: int = 0, limit: int = 1000) -> list[EventRecord]:
        """The first `limit` events of all studies whose id is above `after`, in order."""
        with self._read() as session:
            rows = session.scalars(
                select(EventRow).where(EventRow.id > after).order_by(EventRow.id).limit(limit)
            )
            return [_event(row) for row in rows]

    def last_event(self) -> int:
        """Id of the newest event of all studies; 0 if there is none."""
        with self._read() as session:
            return session.scalar(select(func.max(EventRow.id))) or 0

    def add_artifact(
        self,
        study_id: int,
        *,
        kind: str,
        path: str,
        sha256: str,
        size_bytes: int,
        trial: int | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> ArtifactRecord:
        """Record a file that lies at `path`, relative to the study's folder.

        Raises:
            NotFoundError: no such study or trial.
        """
        with self._write() as session:
            lock_study(session, study_id)
            row = ArtifactRow(
                study_id=study_id,
                trial_id=None if trial is None else find_trial(session, study_id, trial).id,
                kind=kind,
                path=path,
                sha256=sha256,
                size_bytes=size_bytes,
                created=datetime.now(UTC),
                notes=dict(notes or {}),
            )
            session.add(row)
            log(session, study_id, "artifact", {"kind": kind, "path": path, "trial": trial})
            session.flush()
            session.refresh(row)
            return _artifact(row, trial)

    def artifacts(
        self, study_id: int, *, trial: int | None = None, kind: str | None = None
    ) -> list[ArtifactRecord]:
        """The artefacts of a study, oldest first; only those of one trial or kind if given."""
        query = (
            select(ArtifactRow, TrialRow.number)
            .outerjoin(TrialRow, TrialRow.id == ArtifactRow.trial_id)
            .where(ArtifactRow.study_id == study_id)
            .order_by(ArtifactRow.id)
        )
        if trial is not None:
            query = query.where(TrialRow.number == trial)
        if kind is not None:
            query = query.where(ArtifactRow.kind == kind)
        with self._read() as session:
            find_study(session, study_id)
            return [_artifact(row, number) for row, number in session.execute(query)]


def log(session: Session, study_id: int, kind: str, data: Mapping[str, Any]) -> EventRow:
    """Add the next event of a locked study to the transaction."""
    if session.get_bind().dialect.name == "postgresql":
        # Ids are given in the order of asking and seen in the order of committing. To make these
        # the same, those who ask follow each other. (SQLite has one writer at a time anyway.)
        session.execute(select(func.pg_advisory_xact_lock(_EVENTS)))
    study = session.get_one(StudyRow, study_id)
    study.events += 1
    study.updated = datetime.now(UTC)
    row = EventRow(
        study_id=study_id,
        number=study.events,
        time=study.updated,
        kind=kind,
        data=dict(data),
    )
    session.add(row)
    return row


def _event(row: EventRow) -> EventRecord:
    return EventRecord(
        id=row.id,
        study=row.study_id,
        number=row.number,
        time=row.time,
        kind=row.kind,
        data=row.data,
    )


def _artifact(row: ArtifactRow, trial: int | None) -> ArtifactRecord:
    return ArtifactRecord(
        id=row.id,
        trial=trial,
        kind=row.kind,
        path=row.path,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        created=row.created,
        notes=row.notes,
    )
