"""Studies in the record, and the lock of the one process that runs a study."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from autokd.errors import ConflictError, StaleVersionError
from autokd.store.database import Database, translated
from autokd.store.journal import log
from autokd.store.lookup import ENDED, find_deleted, find_study, lock_study
from autokd.store.once import made_before, note_made
from autokd.store.records import StudyRecord
from autokd.store.rows import StudyRow
from autokd.trial import StopReason, StudyState, StudyWish


class Unset(Enum):
    """The type of `UNSET`: an argument that was not given, where None means something."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
_Unset = Literal[Unset.UNSET]

_MOVES = {
    StudyState.CREATED: {StudyState.RUNNING, StudyState.FAILED},
    StudyState.RUNNING: {StudyState.COMPLETED, StudyState.STOPPED, StudyState.FAILED},
    StudyState.COMPLETED: {StudyState.RUNNING, StudyState.FAILED},
    StudyState.STOPPED: {StudyState.RUNNING, StudyState.FAILED},
    StudyState.FAILED: {StudyState.RUNNING},
}

_LOOK_SECONDS = 0.5
"""Those who only look whether a study is run hold its lock for less."""


class Studies(Database):
    """Create, find, change and delete studies."""

    def create_study(
        self,
        name: str,
        spec: Mapping[str, Any],
        *,
        wish: StudyWish | None = None,
        labels: Mapping[str, str] | None = None,
        owner: int | None = None,
    ) -> StudyRecord:
        """Record a new study; the one that the same request has recorded, if it comes again.

        Args:
            name: unique in the database.
            spec: the study file as JSON data.
            wish: what a coordinator is to do with it.
            labels: words of its owner.
            owner: id of the token that it is created with.

        Raises:
            ConflictError: there is a study of that name.
        """
        now = datetime.now(UTC)
        row = StudyRow(
            name=name,
            spec=dict(spec),
            state=StudyState.CREATED,
            created=now,
            seconds=0.0,
            wish=wish,
            labels=dict(labels or {}),
            owner=owner,
            updated=now,
            version=1,
            events=0,
        )
        try:
            with self._write() as session:
                before = made_before(session, "study")
                if before is not None:
                    return self._study(find_study(session, before))
                session.add(row)
                session.flush()
                _tell(session, row)
                note_made(session, "study", row.id)
                session.flush()
                session.refresh(row)
                return self._study(row)
        except IntegrityError as error:
            raise _taken(name) from error

    def study(self, name_or_id: str | int) -> StudyRecord:
        """A study by name (text) or id (number). Raises NotFoundError if there is none."""
        with self._read() as session:
            return self._study(find_study(session, name_or_id))

    def deleted_study(self, name: str) -> StudyRecord | None:
        """The study that was deleted last of those that had this name."""
        with self._read() as session:
            row = find_deleted(session, name)
            return None if row is None else self._study(row)

    def studies(self, *, deleted: bool = False) -> list[StudyRecord]:
        """All studies, oldest first; those that were deleted and may be brought back, if asked."""
        which = StudyRow.deleted.is_not(None) if deleted else StudyRow.deleted.is_(None)
        with self._read() as session:
            rows = session.scalars(select(StudyRow).where(which).order_by(StudyRow.id))
            return [self._study(row) for row in rows]

    def wanted_studies(self) -> list[StudyRecord]:
        """Studies that a coordinator is asked to see to, oldest first."""
        with self._read() as session:
            rows = session.scalars(
                select(StudyRow)
                .where(StudyRow.wish.is_not(None), StudyRow.deleted.is_(None))
                .order_by(StudyRow.id)
            )
            return [self._study(row) for row in rows]

    def is_run(self, record: StudyRecord) -> bool:
        """Whether a process runs the study, as far as can be seen from this machine."""
        return record.folder.exists() and _may_be_held(record.folder)

    def state_now(self, record: StudyRecord) -> str:
        """The status; `interrupted` if the study is to run and no process runs it."""
        if record.state is not StudyState.RUNNING or _may_be_held(record.folder):
            return record.status
        newest = self.study(record.id)  # it may have ended since it was read
        return "interrupted" if newest.state is StudyState.RUNNING else newest.status

    def update_study(
        self,
        study_id: int,
        *,
        spec: Mapping[str, Any] | _Unset = UNSET,
        state: StudyState | _Unset = UNSET,
        stop_reason: StopReason | None | _Unset = UNSET,
        seconds: float | _Unset = UNSET,
        teacher: Mapping[str, Any] | None | _Unset = UNSET,
        wish: StudyWish | None | _Unset = UNSET,
        error: str | None | _Unset = UNSET,
        version: int | None = None,
    ) -> StudyRecord:
        """Change what is given and nothing else; for the process that runs the study.

        Args:
            study_id: the study.
            spec: new spec.
            state: new state.
            stop_reason: why its search ended.
            seconds: wall time spent searching.
            teacher: figures of the teacher.
            wish: what a coordinator is to do with it.
            error: why it failed.
            version: the wish to run stays, if somebody has wished it since this version.

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
            "wish": wish,
            "error": error,
        }
        with self._write() as session:
            row = lock_study(session, study_id)
            if version is not None and version < row.version and row.wish is StudyWish.RUN:
                del given["wish"]
            moved = state is not UNSET and state is not row.state
            if moved and state not in _MOVES[row.state]:
                raise ConflictError(f"study {row.name!r} is {row.state}; it can not become {state}")
            for name, value in given.items():
                if value is not UNSET:
                    setattr(row, name, dict(value) if isinstance(value, Mapping) else value)
            if moved:
                _tell(session, row)
            session.flush()
            session.refresh(row)
            return self._study(row)

    def change_study(
        self,
        study_id: int,
        *,
        version: int | None = None,
        name: str | _Unset = UNSET,
        spec: Mapping[str, Any] | _Unset = UNSET,
        labels: Mapping[str, str] | _Unset = UNSET,
        wish: StudyWish | None | _Unset = UNSET,
        check: Callable[[StudyRecord], None] | None = None,
    ) -> StudyRecord:
        """Change what a person wants changed; counted in `version`, and an event.

        Args:
            study_id: the study.
            version: the change is refused if the study is of another.
            name: new name, in the spec too.
            spec: new spec, which must describe the same study.
            labels: all of its labels.
            wish: what a coordinator is to do with it.
            check: raises if the study, as it stands before the change, may not be changed so.

        Raises:
            NotFoundError: no such study.
            StaleVersionError: it was changed since.
            ConflictError: another study has the name, or this one was deleted.
        """
        given = {"name": name, "spec": spec, "labels": labels, "wish": wish}
        given = {field: value for field, value in given.items() if value is not UNSET}
        try:
            with self._write() as session:
                row = lock_study(session, study_id)
                _check_version(row, version)
                if row.deleted is not None:
                    raise ConflictError(
                        f"study {_plain(row.name)!r} was deleted", hint="bring it back first"
                    )
                if check is not None:
                    check(self._study(row))
                for field, value in given.items():
                    setattr(row, field, dict(value) if isinstance(value, Mapping) else value)
                if (
                    row.stop_reason is StopReason.COORDINATOR_ENDED
                    and row.wish is not StudyWish.RUN
                ):
                    row.stop_reason = StopReason.USER  # by now somebody does not want it to go on
                if name is not UNSET:
                    row.spec = {**row.spec, "name": name}
                row.version += 1
                _tell(session, row)
                session.flush()
                session.refresh(row)
                return self._study(row)
        except IntegrityError as error:
            raise _taken(str(name)) from error

    def hide_study(self, study_id: int, *, version: int | None = None) -> StudyRecord:
        """Delete a study so that it can be brought back. Its name is free from now on.

        Raises:
            NotFoundError: no such study.
            StaleVersionError: it was changed since.
            ConflictError: it runs, or is deleted already.
        """
        with self._write() as session:
            row = lock_study(session, study_id)
            _check_version(row, version)
            if row.deleted is not None:
                raise ConflictError(f"study {_plain(row.name)!r} is deleted already")
            if row.state is StudyState.RUNNING and _may_be_held(self.study_folder(row.id)):
                raise ConflictError(
                    f"study {row.name!r} is running", hint="cancel or pause it, then delete it"
                )
            row.deleted = datetime.now(UTC)
            row.name = f"{row.name}{ENDED}{row.id}"
            row.version += 1
            _tell(session, row, deleted=True)
            session.flush()
            session.refresh(row)
            return self._study(row)

    def unhide_study(self, study_id: int) -> StudyRecord:
        """Bring a deleted study back.

        Raises:
            NotFoundError: no such study.
            ConflictError: it is not deleted, or another study has its name by now.
        """
        name = ""
        try:
            with self._write() as session:
                row = lock_study(session, study_id)
                if row.deleted is None:
                    raise ConflictError(f"study {row.name!r} is not deleted")
                name = row.name = _plain(row.name)
                row.deleted = None
                row.version += 1
                _tell(session, row, deleted=False)
                session.flush()
                session.refresh(row)
                return self._study(row)
        except IntegrityError as error:
            raise _taken(name) from error

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
            name=_plain(row.name),
            spec=row.spec,
            state=row.state,
            stop_reason=row.stop_reason,
            created=row.created,
            seconds=row.seconds,
            teacher=row.teacher,
            folder=self.study_folder(row.id),
            wish=row.wish,
            error=row.error,
            labels=row.labels,
            owner=row.owner,
            updated=row.updated,
            deleted=row.deleted,
            version=row.version,
            events=row.events,
        )

    def study_folder(self, study_id: int) -> Path:
        """Where the files of a study lie, or lay."""
        return self.files / "studies" / str(study_id)


def _tell(session: Session, row: StudyRow, **details: Any) -> None:
    """Record how a study stands as an event."""
    status = row.wish.status(row.state) if row.wish else row.state.value
    data = {"state": row.state, "status": status, "stop_reason": row.stop_reason}
    log(session, row.id, "study", {**data, **details})


def _plain(name: str) -> str:
    """The name of a study as it was before it was deleted."""
    return name.partition(ENDED)[0]


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"there is already a study {name!r}",
        hint="continue it, choose another name, or delete it first",
    )


def _check_version(row: StudyRow, version: int | None) -> None:
    if version is not None and version != row.version:
        raise StaleVersionError(
            f"study {_plain(row.name)!r} was changed since: expected version {version}, "
            f"it is {row.version}",
            hint="read it again, then decide anew",
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
        lock.acquire(timeout=_LOOK_SECONDS, poll_interval=_LOOK_SECONDS / 10)
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
