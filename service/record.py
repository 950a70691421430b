"""The record as requests read it: trials kept in memory, and only what has changed is read anew.

A front of 10,000 trials takes longer to read from a database than to compute. What is kept here
saves time and nothing else: it follows from the record, and is dropped when there is too much.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from autokd.store import Store, StudyRecord
from autokd.trial import Trial

Result = TypeVar("Result")

_MOST_STUDIES = 200
_MOST_TRIALS = 200_000
_MOST_DERIVED = 50
"""For each study."""


class Studies:
    """The trials of studies, as far as they were asked for.

    Args:
        store: the record. Threads may share a `Studies`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._views: OrderedDict[int, _View] = OrderedDict()
        self._lock = threading.Lock()

    def trials(self, study: StudyRecord) -> list[Trial]:
        """All trials of a study, by number; not older than the study's record."""
        view = self._view(study)
        with view.lock:
            return view.read(self._store, study)

    def derived(
        self, study: StudyRecord, key: Hashable, derive: Callable[[list[Trial]], Result]
    ) -> Result:
        """What follows from a study's trials, worked out once for each state of the record.

        Args:
            study: the study.
            key: tells apart what is derived.
            derive: works it out; a pure function of the trials and the study. It may ask for
                other things that are derived.
        """
        view = self._view(study)
        with view.lock:
            trials = view.read(self._store, study)
            if key not in view.derived:
                view.derived[key] = derive(trials)
            view.derived.move_to_end(key)
            while len(view.derived) > _MOST_DERIVED:  # of a slider's every position, say
                view.derived.popitem(last=False)
            found: Result = view.derived[key]  # type: ignore[assignment]  # by its key
            return found

    def document(
        self,
        study: StudyRecord,
        key: Hashable,
        model: type[BaseModel],
        derive: Callable[[list[Trial]], Any],
    ) -> Response:
        """The same as a document of the API, which takes longer to write than to send.

        Args:
            study: the study.
            key: tells apart what is derived.
            model: of the document.
            derive: works its content out.
        """

        def written(trials: list[Trial]) -> str:
            return model.model_validate(derive(trials)).model_dump_json(by_alias=True)

        content = self.derived(study, ("document", key), written)
        return Response(content, media_type="application/json")

    def _view(self, study: StudyRecord) -> _View:
        with self._lock:
            view = self._views.setdefault(study.id, _View())
            self._views.move_to_end(study.id)
            total = sum(len(view.trials) for view in self._views.values())
            while len(self._views) > 1 and (
                len(self._views) > _MOST_STUDIES or total > _MOST_TRIALS
            ):
                _, dropped = self._views.popitem(last=False)
                total -= len(dropped.trials)
            return view


class _View:
    """What is known of one study, up to an event of it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.trials: dict[int, Trial] = {}
        self.derived: OrderedDict[Hashable, object] = OrderedDict()
        self._sorted: list[Trial] = []
        self._seen = 0
        self._state: Hashable = None

    def read(self, store: Store, study: StudyRecord) -> list[Trial]:
        """The trials, with what has changed since they were read last."""
        changed: list[Trial] = []
        if study.events > self._seen:
            changed = store.trials(study.id, changed_after=self._seen)
            self._seen = study.events
            self.trials |= {trial.number: trial for trial in changed}
        # The teacher's figures become known without an event.
        teacher = tuple((study.teacher or {}).items())
        state = (study.version, study.state, study.stop_reason, study.deleted, teacher)
        if changed or state != self._state:
            self._state = state
            self._sorted = [self.trials[number] for number in sorted(self.trials)]
            self.derived.clear()
        return self._sorted
