"""Studies that never ran, as the store would give them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from autokd.budget import Cost
from autokd.space import Architecture
from autokd.spec import read_study
from autokd.store import AttemptRecord, StudyRecord
from autokd.trial import (
    FIRST_FINAL_NUMBER,
    AttemptState,
    Evaluation,
    Failure,
    FailureClass,
    StudyState,
    Trial,
    TrialKind,
    TrialState,
)

START = datetime(2026, 1, 1, tzinfo=UTC)

MakeRecord = Callable[..., StudyRecord]
MakeTrial = Callable[..., Trial]


@pytest.fixture
def make_record() -> MakeRecord:
    """Makes a study of accuracy against parameters (budget 100) with rungs at 1, 3 and 9 epochs.

    Keywords replace parts of the study file; `fields` those of the record.
    """

    def make(fields: Mapping[str, Any] | None = None, **spec: Any) -> StudyRecord:
        study = {
            "name": "made-up",
            "data": {"name": "digits"},
            "teacher": {"model": "resnet20"},
            "space": {"name": "hierarchical_graph"},
            "distillation": {"losses": [{"name": "kd"}]},
            "budget": {"parameters": "0.1x"},
            "objectives": [
                {"metric": "accuracy", "direction": "maximize"},
                {"metric": "parameters", "direction": "minimize"},
            ],
            "fidelity": {"min_epochs": 1, "max_epochs": 9},
            "final": {"top": 2, "epochs": 20, "seeds": 2},
        }
        known: dict[str, Any] = {
            "id": 1,
            "name": "made-up",
            "spec": read_study({**study, **spec}).model_dump(mode="json"),
            "state": StudyState.RUNNING,
            "stop_reason": None,
            "created": START,
            "seconds": 100.0,
            "teacher": {"accuracy": 0.95, "test_accuracy": 0.94, "parameters": 1000},
            "folder": Path("nowhere"),
            "wish": None,
            "error": None,
            "labels": {},
            "owner": None,
            "updated": START,
            "deleted": None,
            "version": 1,
            "events": 0,
        }
        return StudyRecord(**{**known, **(fields or {})})

    return make


@pytest.fixture
def record(make_record: MakeRecord) -> StudyRecord:
    """The study of `make_record` as it is."""
    return make_record()


@pytest.fixture
def make_trial() -> MakeTrial:
    """Makes a trial; `accuracies` are those at 1, 3 and 9 epochs, as far as it got."""

    def make(
        number: int,
        *accuracies: float,
        parameters: int = 50,
        state: TrialState | None = None,
        choices: Mapping[str, Any] | None = None,
        distillation: Mapping[str, Any] | None = None,
        failure: FailureClass | None = None,
        **fields: Any,
    ) -> Trial:
        reached = TrialState.COMPLETE if len(accuracies) == 3 else TrialState.PAUSED
        usual = reached if accuracies else TrialState.QUEUED
        values: dict[str, Any] = {
            "number": number,
            "kind": TrialKind.SEARCH,
            "candidate": number,
            "architecture": Architecture("made-up", choices or {"width": number}, seed=7),
            "distillation": {"kd.weight": 0.5} if distillation is None else distillation,
            "cost": Cost(parameters, 4 * parameters, 60, 10 * parameters),
            "repeat": 0,
            "state": state or (TrialState.FAILED if failure else usual),
            "epochs": 3 ** max(len(accuracies) - 1, 0),
            "evaluations": tuple(
                Evaluation(3**rung, {"accuracy": accuracy, "loss": 1 - accuracy})
                for rung, accuracy in enumerate(accuracies)
            ),
            "failure": Failure(failure, "it failed") if failure else None,
        }
        return Trial(**{**values, **fields})

    return make


@pytest.fixture
def retrain(make_trial: MakeTrial) -> Callable[..., list[Trial]]:
    """Makes the final stage's runs of a trial: one for each test accuracy."""

    def make(
        trial: Trial, scores: Sequence[float], kind: TrialKind = TrialKind.FINAL
    ) -> list[Trial]:
        first = FIRST_FINAL_NUMBER + 100 * trial.candidate + 50 * (kind is TrialKind.BASELINE)
        return [
            make_trial(
                first + repeat,
                parameters=trial.cost.parameters,
                kind=kind,
                candidate=trial.candidate,
                repeat=repeat,
                state=TrialState.COMPLETE,
                epochs=20,
                evaluations=(Evaluation(20, {"accuracy": score + 0.01, "test_accuracy": score}),),
            )
            for repeat, score in enumerate(scores)
        ]

    return make


@pytest.fixture
def make_attempt() -> Callable[..., AttemptRecord]:
    """Makes an attempt of a trial that ran from one second to another; to None: it still runs."""

    def make(
        trial: int,
        started: float,
        ended: float | None,
        n: int = 1,
        state: AttemptState | None = None,
    ) -> AttemptRecord:
        running = AttemptState.RUNNING if ended is None else AttemptState.DONE
        return AttemptRecord(
            id=1000 * n + trial,
            token="",
            trial=trial,
            n=n,
            state=state or running,
            lease_until=START,
            started=START + timedelta(seconds=started),
            ended=None if ended is None else START + timedelta(seconds=ended),
            message="",
        )

    return make
