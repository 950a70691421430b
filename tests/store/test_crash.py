from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from autokd.store import AttemptRecord, Store
from autokd.store.rows import Row
from autokd.trial import (
    AttemptState,
    Evaluation,
    Failure,
    FailureClass,
    StudyState,
    Trial,
    TrialState,
)

NewTrial = Callable[..., Trial]

_WRITER = """
import sys
from autokd.budget import Cost
from autokd.space import Architecture
from autokd.store import Store
from autokd.trial import AttemptState, Evaluation, TrialKind, TrialState

store = Store.open(sys.argv[1], files=sys.argv[2])
study = store.create_study("digits", {})
for index in range(10**6):
    print(index, flush=True)
    trial = store.add_trial(
        study.id, kind=TrialKind.SEARCH, architecture=Architecture("chain", {"width": index}),
        distillation={}, cost=Cost(1, 4, 4, 1), repeat=0, state=TrialState.QUEUED, epochs=2,
    )
    lease = store.start_attempt(study.id, trial.number, lease_seconds=60)
    store.record_epoch(lease.id, lease.token, 1, {"loss": 2.0, "accuracy": 0.25})
    if index % 3 == 0:
        store.release_attempt(lease.id, lease.token, AttemptState.LOST, f"{index}.pt")
    else:
        evaluation = Evaluation(2, {"accuracy": 0.5})
        store.finish_attempt(lease.id, lease.token, evaluation, None, TrialState.COMPLETE)
"""


class TestKill:
    @pytest.mark.parametrize("trials", [1, 8, 25])
    def test_a_killed_writer_leaves_a_record_that_goes_on(
        self, url: str, tmp_path: Path, trials: int
    ) -> None:
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITER, url, str(tmp_path / "files")],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        with child:
            assert child.stdout is not None
            for _ in range(trials):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
        with Store.open(url, files=tmp_path / "files") as store:
            _check_record(store, 1)
            for attempt in store.running_attempts(1):
                store.release_attempt(attempt.id, attempt.token, AttemptState.LOST, None)
            for trial in store.trials(1):
                if trial.state is TrialState.QUEUED:
                    lease = store.start_attempt(1, trial.number, lease_seconds=60)
                    evaluation = Evaluation(2, {"accuracy": 0.5})
                    store.finish_attempt(
                        lease.id, lease.token, evaluation, None, TrialState.COMPLETE
                    )
            _check_record(store, 1)
            assert {trial.state for trial in store.trials(1)} <= {TrialState.COMPLETE}


def _check_record(store: Store, study_id: int) -> None:
    """What holds between the tables at every moment."""
    trials, events = store.trials(study_id), store.events(study_id, limit=10**6)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    states = {event.data["trial"]: event.data["state"] for event in events if event.kind == "trial"}
    assert states == {trial.number: trial.state for trial in trials}
    running = [attempt.trial for attempt in store.running_attempts(study_id)]
    assert running == [trial.number for trial in trials if trial.state is TrialState.RUNNING]
    for trial in trials:
        assert bool(trial.evaluations) == (trial.state is TrialState.COMPLETE)
        curve = store.learning_curve(study_id, trial.number)
        assert curve in ({}, {"loss": [(1, 2.0)], "accuracy": [(1, 0.25)]})


class _Crash(Exception):
    pass


@contextmanager
def _crash_before_commit() -> Iterator[None]:
    def crash(session: Session) -> None:
        if session.get_bind().get_execution_options():  # It writes.
            raise _Crash

    event.listen(Session, "before_commit", crash)
    try:
        yield
    finally:
        event.remove(Session, "before_commit", crash)


def _calls(queued: Trial, paused: Trial, lease: AttemptRecord) -> dict[str, tuple[Any, ...]]:
    """Every writing method with arguments that it takes."""
    held = (lease.id, lease.token)
    return {
        "create_study": ("other", {}),
        "delete_study": (1,),
        "promote": (1, paused.number, 6),
        "start_attempt": (1, queued.number),
        "renew": (*held, 600),
        "record_epoch": (*held, 1, {"loss": 1.0}),
        "finish_attempt": (*held, Evaluation(2, {}), "1.pt", TrialState.PAUSED),
        "fail_attempt": (*held, Failure(FailureClass.NAN, "nan")),
        "release_attempt": (*held, AttemptState.LOST, "1.pt"),
        "add_event": (1, "note", {}),
        "add_artifact": (1,),
        "update_study": (1,),
    }


_KEYWORDS: dict[str, dict[str, Any]] = {
    "start_attempt": {"lease_seconds": 60},
    "add_artifact": {"kind": "onnx", "path": "a", "sha256": "0" * 64, "size_bytes": 1},
    "update_study": {"state": StudyState.RUNNING, "seconds": 1.0},
}


class TestInjectedErrors:
    def test_an_error_at_the_end_of_any_write_undoes_all_of_it(
        self, store: Store, new_trial: NewTrial
    ) -> None:
        paused, running, queued = new_trial(16), new_trial(32), new_trial(64)
        first = store.start_attempt(1, paused.number, lease_seconds=60)
        store.finish_attempt(first.id, first.token, Evaluation(2, {}), None, TrialState.PAUSED)
        lease = store.start_attempt(1, running.number, lease_seconds=60)
        before = _dump(store)
        calls = _calls(queued, paused, lease)
        for name, arguments in calls.items():
            with _crash_before_commit(), pytest.raises(_Crash):
                getattr(store, name)(*arguments, **_KEYWORDS.get(name, {}))
            assert _dump(store) == before, name
        with _crash_before_commit(), pytest.raises(_Crash):
            new_trial(128)
        assert _dump(store) == before
        for name in ("promote", "start_attempt", "finish_attempt", "update_study"):
            getattr(store, name)(*calls[name], **_KEYWORDS.get(name, {}))
        assert _dump(store) != before


def _dump(store: Store) -> dict[str, list[Any]]:
    with Session(store._engine) as session:
        return {
            name: [tuple(row) for row in session.execute(select(table))]
            for name, table in Row.metadata.tables.items()
        }
