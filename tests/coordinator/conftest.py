"""A coordinator over a small record: with processes that are only noted, or with real ones."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autokd.budget import Cost
from autokd.coordinator import Coordinator
from autokd.space import Architecture
from autokd.store import OperationRecord, Store, StudyRecord
from autokd.trial import StudyState, StudyWish, Trial, TrialKind, TrialState
from tests.scripted.processes import scripted_environment, scripted_spec, until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty record."""
    with Store.open(tmp_path / "autokd.db") as opened:
        yield opened


@dataclass
class World:
    """The record, with studies in it.

    Attributes:
        store: the record.
    """

    store: Store

    def add(self, name: str, wish: StudyWish | None = StudyWish.RUN, **spec: Any) -> int:
        """Records a study; gives its id."""
        return self.store.create_study(name, scripted_spec(name, **spec), wish=wish).id

    def add_endless(self, name: str, workers: int = 1) -> int:
        """Records a study that trains until it is told otherwise."""
        fidelity = {"min_epochs": 10**5, "max_epochs": 10**5, "eta": 2}
        return self.add(name, fidelity=fidelity, execution={"workers": workers})

    def add_trial(self, study_id: int) -> Trial:
        """Records a trial that waits."""
        return self.store.add_trial(
            study_id,
            kind=TrialKind.SEARCH,
            architecture=Architecture("scripted", {"width": 0.5}),
            distillation={},
            cost=Cost(1, 4, 4, 1),
            repeat=0,
            state=TrialState.QUEUED,
            epochs=1,
        )

    def study(self, study_id: int) -> StudyRecord:
        """As it is now."""
        return self.store.study(study_id)

    def wish(self, study_id: int, wish: StudyWish | None) -> None:
        """As its owner would."""
        self.store.change_study(study_id, wish=wish)

    def until(self, study_id: int, status: str) -> StudyRecord:
        """Waits until people are shown this status."""
        study = self.store.study(study_id)

        def is_there() -> bool:
            nonlocal study
            study = self.store.study(study_id)
            return study.status == status

        until(is_there, f"study {study_id} to be {status}")
        return study

    def until_training(self, study_id: int) -> None:
        """Waits for an epoch after those that are recorded already."""
        known = self.store.study(study_id).events
        until(
            lambda: any(event.kind == "epoch" for event in self.store.events(study_id, known)),
            f"an epoch of study {study_id}",
        )

    def until_done(self, operation_id: int) -> OperationRecord:
        """Waits for the end of an operation."""
        until(lambda: self.store.operation(operation_id).done, f"operation {operation_id}")
        return self.store.operation(operation_id)


@pytest.fixture
def world(store: Store) -> World:
    return World(store)


@dataclass
class NotedChild:
    """Stands in for a process: notes what it is told, and ends when a test says so."""

    kind: str
    id: int
    lines: list[str] = field(default_factory=list)
    code: int | None = None
    version: int = 0
    since: int = 0

    def tell(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)

    def told(self, word: str) -> bool:
        return any(line.split()[0] == word for line in self.lines)

    def poll(self) -> int | None:
        return self.code

    def wait(self, seconds: float) -> None:
        self.code = 0

    def kill(self) -> None:
        self.code = -9

    def release(self) -> None:
        pass


@dataclass
class Office:
    """A coordinator whose processes are only noted; it does something when `tick` is called.

    Attributes:
        coordinator: which it is.
        children: its processes, in the order of their start.
    """

    coordinator: Coordinator
    store: Store
    children: list[NotedChild] = field(default_factory=list)

    def tick(self) -> None:
        """Has it look at the record once."""
        self.coordinator.tick()

    @property
    def running(self) -> list[int]:
        """Studies that have a process, as they were started."""
        return [child.id for child in self.children if child.code is None and child.kind == "study"]

    def child(self, study_id: int) -> NotedChild:
        """The newest process of a study."""
        return [child for child in self.children if child.id == study_id][-1]

    def begins(self, study_id: int) -> None:
        """A study's process says that it runs."""
        self.store.update_study(study_id, state=StudyState.RUNNING)

    def ends(self, study_id: int, state: StudyState, **more: Any) -> None:
        """A study's process says how it ended, and ends; the coordinator looks."""
        self.store.update_study(study_id, state=state, **more)
        self.child(study_id).code = 0
        self.tick()

    def dies(self, study_id: int, code: int = -9) -> None:
        """A study's process ends without a word; the coordinator looks."""
        self.child(study_id).code = code
        self.tick()


OpenOffice = Callable[..., Office]


@pytest.fixture
def open_office(store: Store, monkeypatch: pytest.MonkeyPatch) -> OpenOffice:
    """Makes a coordinator that does not run by itself."""
    monkeypatch.setattr("autokd.coordinator.coordinator._PATIENCE_SECONDS", 0.0)

    def make(slots: int = 1) -> Office:
        office = Office(Coordinator(store, slots), store)

        def child(kind: str, store: Store, id: int, *, log: Path) -> NotedChild:
            office.children.append(NotedChild(kind, id))
            return office.children[-1]

        monkeypatch.setattr("autokd.coordinator.coordinator.Child", child)
        return office

    return make


Start = Callable[..., Coordinator]
StartOver = Callable[[str], World]


@pytest.fixture
def coordinators(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Coordinator]]:
    """Starts coordinators with real processes, which are stopped at the end of the test."""
    for name, value in scripted_environment().items():
        monkeypatch.setenv(name, value)
    running: list[tuple[Coordinator, threading.Thread]] = []

    def begin(store: Store, slots: int = 1) -> Coordinator:
        coordinator = Coordinator(store, slots)
        thread = threading.Thread(target=coordinator.run)
        thread.start()
        running.append((coordinator, thread))
        return coordinator

    yield begin
    for coordinator, _ in running:
        coordinator.stop()
    for _, thread in running:
        thread.join()


@pytest.fixture
def start(store: Store, coordinators: Callable[..., Coordinator]) -> Start:
    """Starts a coordinator of so many slots."""
    return functools.partial(coordinators, store)


@pytest.fixture
def start_over(coordinators: Callable[..., Coordinator]) -> Iterator[StartOver]:
    """Starts a coordinator over a database of some URL; gives the record."""
    with ExitStack() as stack:

        def begin(url: str) -> World:
            store = stack.enter_context(Store.open(url))
            coordinators(store)
            return World(store)

        yield begin
