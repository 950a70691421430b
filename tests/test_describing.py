"""A candidate of the record in words and figures."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from autokd.budget import Cost
from autokd.describing import candidate_card, describe_candidate
from autokd.space import Architecture
from autokd.spec import read_study
from autokd.store import StudyRecord
from autokd.trial import Evaluation, StopReason, StudyState, Trial, TrialKind, TrialState

SPEC = {
    "name": "made-up",
    "data": {"name": "digits"},
    "teacher": {"model": "resnet20"},
    "space": {"name": "hierarchical_graph"},
    "distillation": {"losses": [{"name": "kd"}]},
    "budget": {"parameters": "0.1x"},
    "fidelity": {"min_epochs": 1, "max_epochs": 9},
    "final": {"top": 1, "epochs": 20, "seeds": 2},
}

RECORD = StudyRecord(
    id=1,
    name="made-up",
    spec=read_study(SPEC).model_dump(mode="json"),
    state=StudyState.COMPLETED,
    stop_reason=StopReason.TRIALS,
    created=datetime(2026, 1, 1, tzinfo=UTC),
    seconds=1.0,
    teacher={"parameters": 1000, "accuracy": 0.95},
    folder=Path("nowhere"),
    wish=None,
    error=None,
    labels={},
    owner=None,
    updated=datetime(2026, 1, 1, tzinfo=UTC),
    deleted=None,
    version=1,
    events=0,
)


def trial(number: int, candidate: int, kind: TrialKind = TrialKind.SEARCH, **fields: Any) -> Trial:
    metrics = fields.pop("metrics", {"accuracy": 0.8})
    epochs = 9 if kind is TrialKind.SEARCH else 20
    return Trial(
        number=number,
        kind=kind,
        candidate=candidate,
        architecture=Architecture("hierarchical_graph", {"width": candidate}, 7),
        distillation={"kd.weight": 0.5},
        cost=Cost(100, 400, 50, 600),
        repeat=0,
        state=fields.pop("state", TrialState.COMPLETE),
        epochs=epochs,
        evaluations=(Evaluation(epochs, metrics),) if metrics else (),
    )


TRIALS = [
    trial(0, 0, metrics={"accuracy": 0.9}),
    trial(1, 1),
    trial(2, 2, metrics={}, state=TrialState.INFEASIBLE),
    *(
        trial(
            1_000_000 + 2 * repeat + (kind is TrialKind.BASELINE),
            0,
            kind,
            metrics={"accuracy": accuracy + repeat / 50, "test_accuracy": 0.9, "test_ece": 0.03},
        )
        for repeat in (0, 1)
        for kind, accuracy in ((TrialKind.FINAL, 0.92), (TrialKind.BASELINE, 0.9))
    ),
]


def test_retrained_candidate_has_the_means_of_the_final_stage() -> None:
    found = describe_candidate(RECORD, TRIALS, TRIALS[0])
    assert (found["trial"], found["candidate"], found["epochs"]) == (0, 0, 20)
    assert found["metrics"] == pytest.approx(
        {"validation_accuracy": 0.93, "test_accuracy": 0.9, "ece": 0.03}
    )
    assert found["final"]["seeds"] == 2
    assert found["final"]["baseline_validation_accuracy"] == pytest.approx(0.91)
    assert found["budget"] == {"parameters": 100}
    assert found["architecture"] == TRIALS[0].architecture.to_json()


def test_candidate_of_the_search_has_the_figures_of_its_trial() -> None:
    found = describe_candidate(RECORD, TRIALS, TRIALS[1])
    assert found["final"] is None
    assert found["metrics"] == {"validation_accuracy": 0.8}
    assert found["epochs"] == 9


def test_candidate_that_was_never_trained_has_its_cost_alone() -> None:
    found = describe_candidate(RECORD, TRIALS, TRIALS[2])
    assert (found["metrics"], found["epochs"], found["state"]) == ({}, 0, "infeasible")
    assert found["cost"]["parameters"] == 100


def test_description_is_json_and_the_card_is_made_of_it() -> None:
    for candidate in (0, 1, 2):
        found = describe_candidate(RECORD, TRIALS, TRIALS[candidate])
        assert json.loads(json.dumps(found)) == found
        assert candidate_card(RECORD, TRIALS, TRIALS[candidate]).startswith(
            "# made-up: student of trial"
        )
