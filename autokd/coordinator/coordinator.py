"""The coordinator: which studies run, with how many slots each, and what is done besides."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from autokd.coordinator.child import Child
from autokd.coordinator.exports import remove_partial_exports, remove_what_came_to_nothing
from autokd.errors import ConflictError, NotFoundError, StorageFullError, StoreUnavailableError
from autokd.store import TRIAL_REQUESTS, OperationRecord, Store, StudyRecord
from autokd.trial import StudyState, StudyWish

_LOG = logging.getLogger(__name__)

OPERATIONS = ("export", "purge")
"""Kinds of operations that have a process of their own."""

_BEAT_SECONDS = 5.0
_TICK_SECONDS = 0.25

_MOST_DEATHS = 3
"""What kills its process so often in a row, without an epoch in between, is given up."""

_PATIENCE_SECONDS = 10.0
"""How long a study is left alone whose process could not begin or has died."""

_NO_FAULT_OF_THE_STUDY = (ConflictError.exit_code, StorageFullError.exit_code)
"""Codes of processes that found no database, no room, or another process at the study."""


class Coordinator:
    """Runs studies side by side, until it is asked to stop.

    It decides from the record alone, and starts again where one that was killed had been. Studies
    with a wish of RUN or STOP run, the oldest first, each with an equal share of the slots, at
    least one; those that find no slot wait.

    Args:
        store: the record, which it shares with whoever asks for studies.
        slots: how many trials run at a time, over all studies; at least 1.
        patient: whether it waits for another coordinator of this store to end, if there is one.

    Raises:
        ConflictError: another coordinator runs the studies of this store.
    """

    def __init__(self, store: Store, slots: int, *, patient: bool = False) -> None:
        if slots < 1:
            raise ValueError(f"expected at least 1 slot, got {slots}")
        self.store = store
        self.slots = slots
        self._patient = patient
        self._stop = threading.Event()
        self._children: dict[int, Child] = {}
        self._operation: tuple[OperationRecord, Child] | None = None
        self._deaths: Counter[tuple[str, int]] = Counter()
        self._not_before: dict[int, float] = {}

    def stop(self) -> None:
        """Asks it to end: studies save their checkpoints and go on with the next coordinator."""
        self._stop.set()

    def run(self) -> None:
        """Sees to the studies until `stop` is called."""
        with self._alone() as alone:
            if not alone:  # it was stopped while it waited
                return
            record = self.store.add_coordinator(socket.gethostname(), os.getpid(), self.slots)
            for old in self.store.coordinators():
                if old.id < record.id:  # it was killed
                    self.store.remove_coordinator(old.id)
            self.store.requeue_operations(OPERATIONS)
            remove_partial_exports(self.store)
            beaten = -_BEAT_SECONDS
            try:
                while not self._stop.is_set():
                    try:
                        self.tick()
                        if time.monotonic() - beaten >= _BEAT_SECONDS:
                            self.store.beat(record.id, self._shares())
                            beaten = time.monotonic()
                    except (StoreUnavailableError, StorageFullError) as error:
                        _LOG.warning("%s", error)
                        self._stop.wait(_PATIENCE_SECONDS / 10)
                    self._stop.wait(_TICK_SECONDS)
            finally:
                self._close()
                with suppress(StoreUnavailableError):
                    self.store.remove_coordinator(record.id)

    def tick(self) -> None:
        """Looks once at what is wanted and at what has ended, and does what follows from it."""
        self._bury()
        self._see_to_studies()
        self._see_to_operations()

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Only one coordinator at a time has the store's files, however the one before ended.

        Gives whether it has them.
        """
        from filelock import FileLock, Timeout

        self.store.files.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.store.files / "coordinator.lock", thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            taken = f"another coordinator runs the studies of {self.store.files}"
            if not self._patient:
                raise ConflictError(
                    taken, hint="one is enough; stop that one first if it is to be replaced"
                ) from error
            _LOG.warning("%s; this one begins when that one has ended", taken)
            with suppress(Timeout):
                lock.acquire(poll_interval=_TICK_SECONDS, cancel_check=self._stop.is_set)
        try:
            yield lock.is_locked
        finally:
            lock.release()

    # Studies

    def _see_to_studies(self) -> None:
        """Starts, steers and stops processes until all is as people want it."""
        wanted = {study.id: study for study in self.store.wanted_studies()}
        for study_id, child in self._children.items():
            self._steer(child, wanted.get(study_id) or self._study(study_id))
        waiting = (
            study
            for study in wanted.values()
            if study.wish in (StudyWish.RUN, StudyWish.STOP)
            and study.id not in self._children
            and self._not_before.get(study.id, 0.0) <= time.monotonic()
            # One of a coordinator that was killed may still be ending.
            and not self.store.is_run(study)
        )
        for study in list(islice(waiting, self.slots - len(self._children))):
            self._start(study)
        shares = self._shares()
        for study_id, child in self._children.items():
            child.tell(f"slots {shares[str(study_id)]}")
        self._wake_those_with_requests(wanted)

    def _study(self, study_id: int) -> StudyRecord | None:
        """A study, if it is still in the record."""
        with suppress(NotFoundError):
            return self.store.study(study_id)
        return None

    def _start(self, study: StudyRecord) -> None:
        try:
            child = Child("study", self.store, study.id, log=study.folder / "study.log")
        except OSError as error:  # no room for its log, or for one more process
            _LOG.warning("study %s can not be started: %s", study.name, error)
            self._not_before[study.id] = time.monotonic() + _PATIENCE_SECONDS
            return
        child.version, child.since = study.version, study.events
        self._children[study.id] = child
        self._steer(child, study)

    def _steer(self, child: Child, study: StudyRecord | None) -> None:
        if study is None or study.deleted is not None:
            child.tell(StudyWish.CANCEL.value)
            return
        if study.wish is None:
            return  # it ends by itself
        if study.wish is not StudyWish.RUN:
            child.tell(study.wish.value)
        elif any(child.told(wish.value) for wish in StudyWish if wish is not StudyWish.RUN):
            return  # it is wanted again while it ends, and is started again when it has
        if study.version != child.version:
            child.version = study.version
            child.tell(f"reload {study.version}")

    def _wake_those_with_requests(self, wanted: Mapping[int, StudyRecord]) -> None:
        """A study that has ended runs again to do what is asked of its trials."""
        for operation in self.store.operations(kinds=TRIAL_REQUESTS, states=("queued",)):
            study_id = operation.study_id
            if study_id is None or study_id in wanted or study_id in self._children:
                continue
            try:
                self.store.change_study(study_id, wish=StudyWish.RUN)
            except StoreUnavailableError:
                raise
            except (NotFoundError, ConflictError) as error:  # it was deleted
                self.store.end_operation(operation.id, error=error.as_data())

    def _shares(self) -> dict[str, int]:
        """Slots of each running study by its id: equal shares, what is left over to the oldest."""
        running = sorted(self._children)
        if not running:
            return {}
        share, left = divmod(self.slots, len(running))
        return {str(study): share + (index < left) for index, study in enumerate(running)}

    def _bury(self) -> None:
        """Takes note of processes that have ended."""
        for study_id, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            study = self._study(study_id)
            if study is not None:
                self._note_end(study, child, code)
            del self._children[study_id]
            child.release()

    def _note_end(self, study: StudyRecord, child: Child, code: int) -> None:
        death = ("study", study.id)
        if code and study.wish is None:
            self._refuse_requests(study)
        if code in _NO_FAULT_OF_THE_STUDY:
            self._not_before[study.id] = time.monotonic() + _PATIENCE_SECONDS
            return
        if code == 0 or study.wish is None:  # it has said itself how it ended
            self._deaths.pop(death, None)
            return
        _LOG.warning("the process of study %s ended with %d", study.name, code)
        if any(event.kind == "epoch" for event in self.store.events(study.id, child.since)):
            self._deaths.pop(death, None)
        deaths = self._deaths[death] + 1
        if deaths >= _MOST_DEATHS:
            self._give_up(study, f"its process died {deaths} times in a row; study.log says more")
            deaths = 0
        self._deaths[death] = deaths
        self._not_before[study.id] = time.monotonic() + _PATIENCE_SECONDS * max(0, deaths - 1)

    def _refuse_requests(self, study: StudyRecord) -> None:
        """Ends what was asked of the trials of a study that failed, and would fail again."""
        asked = self.store.operations(study.id, kinds=TRIAL_REQUESTS, states=("queued",))
        why = study.error or study.stop_reason or study.status
        error = ConflictError(f"study {study.name!r} can not go on: {why}")
        for operation in asked:
            self.store.end_operation(operation.id, error=error.as_data())

    def _give_up(self, study: StudyRecord, error: str) -> None:
        try:
            with self.store.coordinate(study.id):
                self.store.update_study(study.id, state=StudyState.FAILED, error=error, wish=None)
        except StoreUnavailableError:
            raise
        except ConflictError as held:  # somebody runs it from the command line
            _LOG.warning("study %s: %s", study.name, held)

    # Operations

    def _see_to_operations(self) -> None:
        """Runs the oldest operation in a process of its own, one at a time."""
        if self._operation is not None:
            operation, child = self._operation
            code = child.poll()
            if code is None:
                if self.store.operation(operation.id).state == "cancelled":
                    child.kill()
                return
            self._note_end_of_operation(operation, code)
            self._operation = None
            child.release()
            remove_what_came_to_nothing(self.store, operation)
        for operation in self.store.operations(kinds=OPERATIONS, states=("queued",))[:1]:
            self._start_operation(operation)

    def _start_operation(self, operation: OperationRecord) -> None:
        try:
            begun = self.store.begin_operation(operation.id)
            log = self.store.files / "operations.log"
            self._operation = begun, Child("operation", self.store, begun.id, log=log)
        except StoreUnavailableError:
            raise
        except ConflictError:
            pass  # it was cancelled in between
        except OSError as error:  # no room for its log, or for one more process
            failed = ConflictError(f"it can not be started: {error}", hint="ask for it again")
            self.store.end_operation(operation.id, error=failed.as_data())

    def _note_end_of_operation(self, operation: OperationRecord, code: int) -> None:
        """Queues it again if its process has died; else that has written the end itself."""
        death = ("operation", operation.id)
        if code == 0 or self._deaths[death] + 1 >= _MOST_DEATHS:
            del self._deaths[death]
            error = ConflictError("its process died again and again", hint="operations.log")
            self.store.end_operation(operation.id, error=error.as_data())
            return
        if code not in _NO_FAULT_OF_THE_STUDY:
            self._deaths[death] += 1
        self.store.requeue_operations(OPERATIONS)

    def _close(self) -> None:
        """Ends all processes, which stop after their running epochs."""
        children = [*self._children.values(), *([self._operation[1]] if self._operation else [])]
        _end(children)
        self._children.clear()


def _end(children: Sequence[Child], seconds: float = 60.0) -> None:
    for child in children:
        child.tell("leave")
    until = time.monotonic() + seconds
    for child in children:
        child.wait(max(0.0, until - time.monotonic()))
        child.release()


def slots_of_this_machine() -> int:
    """One per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
