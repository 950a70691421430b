"""Studies in the record, and the lock of the one process that runs a study."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from autokd.errors import ConflictError
from autokd.store.database import Database, translated
from autokd.store.journal import log
from autokd.store.lookup import find_study, lock_study
from autokd.store.records import StudyRecord
from autokd.store.rows import StudyRow
from autokd.trial import StopReason, StudyState


class Unset(Enum):
    """The type of `UNSET`: an argument that was not given, where None means something."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
_Unset = Literal[Unset.UNSET]

_MOVES = {
    StudyState.CREATED: {StudyState.RUNNING},
    StudyState.RUNNING: {StudyState.COMPLETED, StudyState.STOPPED},
    StudyState.COMPLETED: {StudyState.RUNNING},
    StudyState.STOPPED: {StudyState.RUNNING},
}


class Studies(Database):
    """Create, find, change and delete studies."""

    def create_study(self, name: str, spec: Mapping[str, Any]) -> StudyRecord:
        """Record a new study.

        Raises:
            ConflictError: there is a study of that name.
        """
        row = StudyRow(
            name=name,
            spec=dict(spec),
            state=StudyState.CREATED,
            created=datetime.now(UTC),
            seconds=0.0,
        )
        try:
            with self._write() as session:
                session.add(row)
                session.flush()
                log(session, row.id, "study", {"state": row.state})
                session.flush()
                session.refresh(row)
                return self._study(row)
        except IntegrityError as error:
            raise ConflictError(
                f"there is already a study {name!r}",
                hint="continue it, choose another name, or delete it first",
            ) from error

    def study(self, name_or_id: str | int) -> StudyRecord:
        """A study by name (text) or id (number). Raises NotFoundError if there is none."""
        with self._read() as session:
            return self._study(find_study(session, name_or_id))

    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        with self._read() as session:
            return [self._study(row) for row in session.scalars(select(StudyRow).order_by("id"))]

    def state_now(self, record: StudyRecord) -> str:
        """The recorded state; `interrupted` if that is running and no process runs the study."""
        if record.state is not StudyState.RUNNING or _may_be_held(record.folder):
            return record.state.value
        return "interrupted"

    def update_study(
        self,
        study_id: int,
        *,
        spec: Mapping[str, Any] | _Unset = UNSET,
        state: StudyState | _Unset = UNSET,
        stop_reason: StopReason | None | _Unset = UNSET,
        seconds: float | _Unset = UNSET,
        teacher: Mapping[str, Any] | None | _Unset = UNSET,
    ) -> StudyRecord:
        """Change what is given and nothing else.

        Raises:
            NotFoundError: no such study.
            ConflictError: the study may not go to that state from its own.
        """
        given = {
            "spec": spec,
            "state": state,
            "stop_reason": stop_reason,
            "seconds": seconds,
            "teacher": teacher,
        }
        with self._write() as session:
            row = lock_study(session, study_id)
            moved = state is not UNSET and state is not row.state
            if moved and state not in _MOVES[row.state]:
                raise ConflictError(f"study {row.name!r} is {row.state}; it can not become {state}")
            for name, value in given.items():
                if value is not UNSET:
                    setattr(row, name, dict(value) if isinstance(value, Mapping) else value)
            if moved:
                log(session, study_id, "study", {"state": state, "stop_reason": row.stop_reason})
            session.flush()
            session.refresh(row)
            return self._study(row)

    def delete_study(self, study_id: int) -> Path:
        """Remove a study and all its rows; gives the folder, which the caller deletes.

        Raises:
            NotFoundError: no such study.
            ConflictError: a process runs it.
        """
        folder = self.study(study_id).folder
        with _lock(folder, what="deleted"), self._write() as session:
            lock_study(session, study_id)
            session.execute(delete(StudyRow).where(StudyRow.id == study_id))
        return folder

    @contextmanager
    def coordinate(self, study_id: int) -> Iterator[None]:
        """Be the only process that runs a study while the block lasts.

        The operating system ends the lock with the process, however that dies.

        Raises:
            NotFoundError: no such study.
            ConflictError: another process runs it.
        """
        folder = self.study(study_id).folder
        with ExitStack() as stack:
            with translated(self._engine.url):
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_lock(folder, what="run"))
            self.study(study_id)  # It may have been deleted in between.
            yield

    def _study(self, row: StudyRow) -> StudyRecord:
        return StudyRecord(
            id=row.id,
            name=row.name,
            spec=row.spec,
            state=row.state,
            stop_reason=row.stop_reason,
            created=row.created,
            seconds=row.seconds,
            teacher=row.teacher,
            folder=self.files / "studies" / str(row.id),
        )


def _may_be_held(folder: Path) -> bool:
    """Whether a process holds the lock of a study's folder, as far as can be seen from here."""
    from filelock import FileLock, Timeout

    if not folder.exists():  # on another machine, perhaps
        return True
    try:
        with FileLock(folder / "coordinator.lock", blocking=False, thread_local=False):
            return False
    except (Timeout, OSError):
        return True


@contextmanager
def _lock(folder: Path, *, what: str) -> Iterator[None]:
    """Hold the lock of a study's folder; a folder that is not there has nobody to lock out."""
    from filelock import FileLock, Timeout

    if not folder.exists():
        yield
        return
    owner = folder / "coordinator.pid"
    lock = FileLock(folder / "coordinator.lock", thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        pid = owner.read_text() if owner.exists() else "unknown"
        raise ConflictError(
            f"the study can not be {what}: it is being run by another process (pid {pid})",
            hint="stop that process, or wait until it is done",
        ) from error
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
