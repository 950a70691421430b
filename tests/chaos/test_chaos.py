"""Processes are killed at random moments while studies run; nothing is lost and nothing doubled."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from autokd.errors import AutokdError
from autokd.seeding import rng_for
from autokd.store import Store
from autokd.trial import CHECKPOINT, AttemptState, Trial, TrialKind, TrialState
from tests.chaos.people import Asker, EventReader, Service
from tests.chaos.system import Postgres, System, kill
from tests.scripted.processes import arguments, scripted_spec, until

_KILLS = int(os.environ.get("AUTOKD_CHAOS_KILLS", "20"))
_SEED = int(os.environ.get("AUTOKD_CHAOS_SEED", "0"))
_BETWEEN_SECONDS = 1.5
"""Mean time between two kills."""


class Chaos:
    """Two studies of a service, and who kills its processes.

    Args:
        system: the service.
        store: its record.
        seed: of the moments and the victims.
    """

    def __init__(self, system: System, store: Store, seed: int) -> None:
        self.system = system
        self.store = store
        self.rng = rng_for(seed, 0, "chaos")
        self.kinds = ["web", "coordinator", "study", "worker"]
        self.kinds += ["database"] if system.database else []
        self.killed: Counter[str] = Counter()
        self.service = Service(system.url)
        self.reader = EventReader(system.url)
        self.limits: dict[str, int] = {}
        self._epochs_at_death: dict[int, int] = {}

    def launch(self, name: str, trials: int, **spec: Any) -> None:
        """Has a study run; again, should it be asked for twice."""
        content = scripted_spec(name, limits={"trials": trials}, **spec)
        self.service.post("/studies", {"spec": content}, key=f"launch-{name}")
        self.limits[name] = trials

    def rage(self, kills: int) -> None:
        """Kills so many processes, of each kind as many."""
        while self.killed.total() < kills:
            for kind in self.rng.permutation(self.kinds).tolist()[: kills - self.killed.total()]:
                until(partial(self._kill_one, kind), f"a {kind} to kill")
                self.killed[kind] += 1
                self._keep_them_busy()

    def until_all_have_ended(self) -> None:
        """Waits until all studies are completed."""
        until(
            lambda: all(self._state(name) == "completed" for name in self.limits),
            "all studies to be completed",
            300,
        )

    def _wait_a_moment(self) -> None:
        """Until some more has happened, but not for long: also what begins is to be killed."""
        seconds = min(float(self.rng.exponential(_BETWEEN_SECONDS)), 4 * _BETWEEN_SECONDS)
        enough = len(self.reader.events) + int(self.rng.integers(1, 100))
        self.reader.wait(lambda events: len(events) >= enough, seconds)

    def _kill_one(self, kind: str) -> bool:
        self._wait_a_moment()
        if kind == "database":
            assert self.system.database is not None
            self.system.database.kill()
            return True
        victims = [each for each in self.system.processes(kind) if self._may_die(kind, each)]
        if not victims:
            return False
        victim = victims[int(self.rng.integers(len(victims)))]
        if kind == "study" and (line := arguments(victim)):
            study = int(line[-1])
            self._epochs_at_death[study] = self.reader.epochs_of(study)
        kill(victim)
        return True

    def _may_die(self, kind: str, process: psutil.Process) -> bool:
        """Not where autokd would be right to give up: after deaths in a row without an epoch."""
        if kind not in ("study", "worker"):
            return True
        with suppress(psutil.NoSuchProcess):
            process = (process.parent() or process) if kind == "worker" else process
        line = arguments(process)
        if line[-2:-1] != ["study"]:  # it has just ended
            return False
        study = int(line[-1])
        if kind == "worker":
            return self._loses_its_first(study)
        return self._epochs_at_death.get(study) != self.reader.epochs_of(study)

    def _loses_its_first(self, study: int) -> bool:
        """Whether no running trial of a study would lose a second worker before a checkpoint."""
        root = self.store.study_folder(study)
        try:
            for running in self.store.running_attempts(study):
                *_, before, newest = [None, *self.store.attempts(study, running.trial)]
                if before is not None and newest is not None:
                    has_checkpoint = (root / newest.folder / CHECKPOINT).exists()
                    if before.state is AttemptState.LOST and not has_checkpoint:
                        return False
        except AutokdError:  # no database now
            return False
        return True

    def _keep_them_busy(self) -> None:
        """Studies that ended before all kills are done go on to a larger limit."""
        for name, trials in self.limits.items():
            if self._state(name) == "completed":
                body = {"limits": {"trials": trials + 10}}
                self.service.post(f"/studies/{name}:extend", body, key=f"{name}-{trials + 10}")
                self.limits[name] = trials + 10

    def _state(self, name: str) -> str:
        try:
            return self.store.study(name).status
        except AutokdError:
            return "unknown"


def check(chaos: Chaos, asker: Asker) -> None:
    """What holds in the end."""
    store = chaos.store
    recorded = store.all_events(limit=10**6)
    numbers = [event.id for event in recorded]
    chaos.reader.wait(lambda events: events[-1]["number"] >= numbers[-1], 60)
    assert [event["number"] for event in chaos.reader.events] == numbers
    assert all(a < b for a, b in pairwise(numbers))
    for name in chaos.limits:
        check_study(store, name)
    steady = store.trials(store.study("steady").id, TrialKind.SEARCH)
    assert len(steady) == chaos.limits["steady"]
    wide = store.trials(store.study("wide").id, TrialKind.SEARCH)
    widths = Counter(trial.architecture.choices["width"] for trial in wide)
    assert {widths[each.width] for each in asker.wanted} <= {1}
    assert {each.state for each in asker.wanted} <= {"succeeded"}
    operations = store.operations(kinds=["enqueue"])
    assert [f"op_{each.id}" for each in operations] == [each.operation for each in asker.wanted]
    assert len(wide) - len(asker.wanted) <= chaos.limits["wide"] <= len(wide)
    assert chaos.service.surprises == []


def check_study(store: Store, name: str) -> None:
    """What holds in the end of one study."""
    study = store.study(name)
    events = store.events(study.id, limit=10**6)
    assert [event.number for event in events] == list(range(1, study.events + 1))
    trials = store.trials(study.id)
    for kind in ("search", "final"):
        of_stage = [each for each in trials if (each.kind.value == "search") == (kind == "search")]
        first = of_stage[0].number if of_stage else 0
        assert [each.number for each in of_stage] == list(range(first, first + len(of_stage)))
    for trial in trials:
        check_trial(store, study.id, trial)
    told = Counter(
        (event.data["trial"], event.data["epoch"]) for event in events if event.kind == "epoch"
    )
    assert set(told.values()) == {1}, "an epoch was told twice"
    completions = Counter(
        event.data["trial"]
        for event in events
        if event.kind == "trial" and event.data["state"] == "complete"
    )
    assert completions == {
        trial.number: 1 for trial in trials if trial.state is TrialState.COMPLETE
    }


def check_trial(store: Store, study: int, trial: Trial) -> None:
    """What holds in the end of one trial."""
    assert trial.state.is_finished()
    assert trial.failure is None, trial
    rungs = [evaluation.epochs for evaluation in trial.evaluations]
    assert rungs == sorted(set(rungs)), "a rung was counted twice"
    curve = store.learning_curve(study, trial.number).get("accuracy", [])
    assert [epoch for epoch, _ in curve] == list(range(1, max(rungs, default=0) + 1))
    attempts = store.attempts(study, trial.number)
    assert [each.n for each in attempts] == list(range(1, len(attempts) + 1))
    assert all(each.ended is not None for each in attempts)
    done = [each for each in attempts if each.state is AttemptState.DONE]
    assert len(done) == len(rungs)


def results(store: Store, name: str) -> list[tuple[Any, ...]]:
    """What a search came to, however it got there."""
    return [
        (trial.number, trial.architecture.choices, trial.state, trial.evaluations)
        for trial in store.trials(store.study(name).id, TrialKind.SEARCH)
    ]


def run(system: System, store: Store, kills: int, seed: int) -> None:
    """The whole of it."""
    chaos = Chaos(system, store, seed)
    try:
        fidelity = {"min_epochs": 4, "max_epochs": 16, "eta": 2}
        chaos.launch("steady", 12, fidelity=fidelity)
        chaos.launch(
            "wide",
            12,
            fidelity=fidelity,
            execution={"workers": 2},
            final={"top": 1, "epochs": 20, "seeds": 1},
        )
        asker = Asker(chaos.service, "wide")
        chaos.rage(kills)
        asker.stop()
        chaos.until_all_have_ended()
        chaos.launch("reference", chaos.limits["steady"], fidelity=fidelity)
        chaos.until_all_have_ended()
        sys.stdout.write(
            f"seed {seed}: killed {dict(chaos.killed)}; {chaos.reader.connections} connections, "
            f"{len(chaos.reader.events)} events, {len(asker.wanted)} candidates, {chaos.limits}\n"
        )
        check(chaos, asker)
        assert results(store, "steady") == results(store, "reference")
    finally:
        chaos.reader.stop()
        system.stop()
    assert system.left_over() == []


@pytest.fixture
def seed() -> int:
    return _SEED


@pytest.mark.slow
def test_a_few_deaths_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    system = System(tmp_path)
    with Store.open(system.storage, files=system.files) as store:
        run(system, store, kills=4, seed=seed)  # one of each kind


@pytest.mark.slow
def test_many_deaths_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    system = System(tmp_path)
    with Store.open(system.storage, files=system.files) as store:
        run(system, store, _KILLS, seed)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server of its own, to be killed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        runtime = Path(folder, "run")
        runtime.mkdir(mode=0o700)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))
            server = Postgres(Path(folder))
        yield server
        server.stop()


@pytest.mark.slow
def test_many_deaths_with_postgresql_lose_and_double_nothing(
    tmp_path: Path, postgres: Postgres, seed: int
) -> None:
    with Store.open(postgres.url, files=tmp_path / "autokd.files") as store:
        run(System(tmp_path, postgres), store, _KILLS, seed)
