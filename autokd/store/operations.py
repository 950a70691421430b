"""Operations in the record: work that is asked for by requests and done by a coordinator."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from autokd.errors import ConflictError, NotFoundError
from autokd.store.database import Database
from autokd.store.once import made_before, note_made
from autokd.store.rows import StudyRow
from autokd.store.service_records import CoordinatorRecord, OperationRecord
from autokd.store.service_rows import CoordinatorRow, OperationRow

TRIAL_REQUESTS = ("cancel_trial", "enqueue", "retry")
"""Kinds of operations that the process that runs a study does, since it alone writes its trials."""


class Operations(Database):
    """Ask for work, do it, and say that somebody is there who does it."""

    def add_operation(
        self, kind: str, study_id: int | None, request: Mapping[str, Any], owner: int | None = None
    ) -> OperationRecord:
        """Queue an operation; the one that the same request has queued, if it comes again."""
        with self._write() as session:
            before = made_before(session, "operation")
            if before is not None:
                return OperationRecord.of(_find(session, before))
            row = OperationRow(
                kind=kind,
                study_id=study_id,
                state="queued",
                request=dict(request),
                created=datetime.now(UTC),
                owner=owner,
            )
            session.add(row)
            session.flush()
            note_made(session, "operation", row.id)
            session.refresh(row)
            return OperationRecord.of(row)

    def operation(self, operation_id: int) -> OperationRecord:
        """One operation. Raises NotFoundError."""
        with self._read() as session:
            return OperationRecord.of(_find(session, operation_id))

    def operations(
        self,
        study_id: int | None = None,
        *,
        kinds: Collection[str] | None = None,
        states: Collection[str] | None = None,
    ) -> list[OperationRecord]:
        """Operations, oldest first; those of one study, of some kinds or states if given."""
        query = select(OperationRow).order_by(OperationRow.id)
        if study_id is not None:
            query = query.where(OperationRow.study_id == study_id)
        if kinds is not None:
            query = query.where(OperationRow.kind.in_(kinds))
        if states is not None:
            query = query.where(OperationRow.state.in_(states))
        with self._read() as session:
            return [OperationRecord.of(row) for row in session.scalars(query)]

    def begin_operation(self, operation_id: int) -> OperationRecord:
        """Take a queued operation on. Raises NotFoundError, ConflictError if it is not queued."""
        with self._write() as session:
            row = _find(session, operation_id, lock=True)
            if row.state != "queued":
                raise ConflictError(f"operation {operation_id} is {row.state}")
            row.state, row.started = "running", datetime.now(UTC)
            return OperationRecord.of(row)

    def end_operation(
        self,
        operation_id: int,
        *,
        response: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> OperationRecord:
        """Record what came of an operation: a response, or else an error.

        One that was cancelled or has ended before stays as it is.
        """
        with self._write() as session:
            row = _find(session, operation_id, lock=True)
            if row.state in ("queued", "running"):
                row.state = "failed" if error is not None else "succeeded"
                row.response = None if error is not None else dict(response or {})
                row.error = dict(error) if error is not None else None
                row.ended = datetime.now(UTC)
            return OperationRecord.of(row)

    def requeue_operations(self, kinds: Collection[str]) -> None:
        """Queue again what a coordinator that is gone had begun."""
        with self._write() as session:
            begun = select(OperationRow).where(
                OperationRow.state == "running", OperationRow.kind.in_(kinds)
            )
            for row in session.scalars(begun):
                row.state, row.started = "queued", None

    def cancel_operation(self, operation_id: int) -> OperationRecord:
        """Give an operation up. Raises NotFoundError, ConflictError if it has ended."""
        with self._write() as session:
            row = _find(session, operation_id, lock=True)
            if row.kind == "purge" and row.state == "running":
                raise ConflictError(f"operation {operation_id} deletes already")
            if row.state not in ("queued", "running"):
                raise ConflictError(f"operation {operation_id} has {row.state}")
            row.state, row.ended = "cancelled", datetime.now(UTC)
            return OperationRecord.of(row)

    def forget_operations(self, older_than: timedelta) -> None:
        """Remove what ended so long ago, but for exports: these are known by their operation."""
        is_export = (
            (OperationRow.kind == "export")
            & (OperationRow.state == "succeeded")
            & OperationRow.study_id.in_(select(StudyRow.id))
        )
        ended = OperationRow.ended < datetime.now(UTC) - older_than
        with self._write() as session:
            session.execute(delete(OperationRow).where(ended, ~is_export))

    # Coordinators

    def add_coordinator(self, host: str, pid: int, slots: int) -> CoordinatorRecord:
        """Record that a coordinator has started."""
        now = datetime.now(UTC)
        with self._write() as session:
            row = CoordinatorRow(
                host=host, pid=pid, started=now, heartbeat=now, slots=slots, shares={}
            )
            session.add(row)
            session.flush()
            return CoordinatorRecord.of(row)

    def beat(self, coordinator_id: int, shares: Mapping[str, int]) -> None:
        """Record that a coordinator lives, and how many slots it gives to which study."""
        with self._write() as session:
            row = session.get(CoordinatorRow, coordinator_id)
            if row is not None:  # else another one has taken it for dead
                row.heartbeat, row.shares = datetime.now(UTC), dict(shares)

    def remove_coordinator(self, coordinator_id: int) -> None:
        """Record that a coordinator has ended."""
        with self._write() as session:
            session.execute(delete(CoordinatorRow).where(CoordinatorRow.id == coordinator_id))

    def coordinators(self) -> list[CoordinatorRecord]:
        """Those that said that they started and not that they ended, oldest first."""
        with self._read() as session:
            rows = session.scalars(select(CoordinatorRow).order_by(CoordinatorRow.id))
            return [CoordinatorRecord.of(row) for row in rows]


def _find(session: Session, operation_id: int, *, lock: bool = False) -> OperationRow:
    query = select(OperationRow).where(OperationRow.id == operation_id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFoundError(f"there is no operation {operation_id}")
    return row
