"""Studies in a database of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autokd import steering
from autokd.cli.output import importing
from autokd.cli.records import Standing
from autokd.errors import NotFoundError
from autokd.spec import StudySpec, read_study
from autokd.store import EventRecord, Store, StudyRecord

if TYPE_CHECKING:
    from autokd.trial import StudyWish, Trial

_LOOK_SECONDS = 0.25
"""How often the record is asked for what is new."""


class LocalRecords:
    """The studies that a store has.

    Args:
        store: the record.
        options: what a command needs to find it.
    """

    def __init__(self, store: Store, options: str) -> None:
        self._store = store
        self.options = options

    def studies(self, *, deleted: bool = False) -> list[Standing]:
        """All studies, oldest first; those that were deleted, if asked."""
        return [self._standing(record) for record in self._store.studies(deleted=deleted)]

    def study(self, name: str) -> Standing:
        """The study that a person means: by name, else by number. Raises NotFoundError."""
        try:
            record = self._store.study(name)
        except NotFoundError:
            if not name.isdecimal():
                raise
            record = self._store.study(int(name))
        if record.deleted is not None:
            raise NotFoundError(
                f"study {record.name!r} was deleted",
                hint=f"`autokd study undelete {record.id}{self.options}` brings it back",
            )
        return self._standing(record)

    def again(self, study: Standing) -> Standing:
        """How it stands now."""
        return self._standing(self.record(study))

    def record(self, study: Standing) -> StudyRecord:
        """The study as the store has it."""
        return self._store.study(study.id)

    def create(self, spec: StudySpec, labels: Mapping[str, str], *, paused: bool) -> Standing:
        """Queues a study for a coordinator. Raises ConflictError if there is one of its name."""
        return self._standing(steering.queue(self._store, spec, labels=labels, paused=paused))

    def steer(self, study: Standing, wish: StudyWish) -> Standing:
        """Has a coordinator run, pause, stop or cancel it. Raises ConflictError."""
        return self._standing(steering.steer(self._store, self.record(study), wish))

    def extend(self, study: Standing, limits: Mapping[str, float]) -> Standing:
        """Has a coordinator go on with it within other limits. Raises SpecError."""
        return self._standing(steering.extend(self._store, self.record(study), limits))

    def clone(
        self,
        study: Standing,
        name: str,
        changes: Mapping[str, Any],
        labels: Mapping[str, str],
        *,
        paused: bool,
    ) -> Standing:
        """Queues a new study like it, with other values at some dotted paths."""
        changed = steering.with_changes(self.record(study).spec, changes)
        return self.create(read_study({**changed, "name": name}), labels, paused=paused)

    def delete(self, study: Standing) -> None:
        """Deletes it, so that it can be brought back. Raises ConflictError if it runs."""
        self._store.hide_study(study.id)

    def undelete(self, study: Standing) -> Standing:
        """Brings it back. Raises ConflictError if another has its name by now."""
        return self._standing(self._store.unhide_study(study.id))

    def purge(self, study: Standing) -> int:
        """Removes it for good, and says how many bytes that freed."""
        return steering.purge(self._store, self.record(study))

    def summary(self, study: Standing) -> dict[str, Any]:
        """Its result, as `autokd front --json` prints it."""
        from autokd.report import summarise

        record = self.record(study)
        summary = summarise(record, self._store.trials(record.id))
        return {**summary, "state": self._store.state_now(record)}

    def trials(self, record: StudyRecord) -> list[Trial]:
        """All its trials."""
        return self._store.trials(record.id)

    def trial(self, record: StudyRecord, number: int) -> Trial:
        """One of them. Raises NotFoundError."""
        return self._store.trial(record.id, number)

    def attempts(self, record: StudyRecord, number: int) -> list[dict[str, Any]]:
        """The attempts of a trial: `n`, `state` and the path of its `log`."""
        from autokd.executors import LOG

        return [
            {
                "n": attempt.n,
                "state": attempt.state.value,
                "log": str(record.folder / attempt.folder / LOG),
            }
            for attempt in self._store.attempts(record.id, number)
        ]

    def log(self, record: StudyRecord, number: int, attempt: Mapping[str, Any]) -> str:
        """The log of one of them."""
        path = Path(attempt["log"])
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def export(
        self,
        study: Standing,
        folder: Path,
        *,
        trial: int | None,
        limits: Mapping[str, float],
        formats: Sequence[str],
    ) -> dict[str, Any]:
        """Writes a student, verified; gives what `student.json` holds."""
        with importing():
            from autokd.exporting import export_student

        return export_student(
            self._store, study.id, folder, trial=trial, limits=limits, formats=formats
        )

    @contextmanager
    def events(self, study: Standing) -> Iterator[Iterator[EventRecord]]:
        """What happens to it from now on, without an end."""
        yield self._follow(study.id, after=self.record(study).events)

    def _follow(self, study_id: int, after: int) -> Iterator[EventRecord]:
        while True:
            for event in self._store.events(study_id, after):
                after = event.number
                yield event
            time.sleep(_LOOK_SECONDS)

    def _standing(self, record: StudyRecord) -> Standing:
        return Standing(
            id=record.id,
            name=record.name,
            status=self._store.state_now(record),
            stop_reason=record.stop_reason.value if record.stop_reason else None,
            error=record.error,
            created=record.created,
            seconds=record.seconds,
        )
