"""What a study found, as data: counts, budgets, rows of the front and of the final stage."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from autokd.budget import Cost
from autokd.report import budget_of, count, final_rows, summarise
from autokd.space import Architecture
from autokd.spec import read_study
from autokd.store import StudyRecord
from autokd.trial import (
    Evaluation,
    Failure,
    FailureClass,
    StopReason,
    StudyState,
    Trial,
    TrialKind,
    TrialState,
)

SPEC = {
    "name": "made-up",
    "data": {"name": "digits"},
    "teacher": {"model": "resnet20"},
    "space": {"name": "hierarchical_graph"},
    "distillation": {"losses": [{"name": "kd"}]},
    "budget": {"parameters": "0.1x", "weight_bytes": "64KiB"},
    "objectives": [
        {"metric": "accuracy", "direction": "maximize"},
        {"metric": "parameters", "direction": "minimize"},
    ],
    "fidelity": {"min_epochs": 1, "max_epochs": 9},
    "final": {"top": 2, "epochs": 20, "seeds": 2},
}
TEACHER = {"accuracy": 0.95, "parameters": 1000, "test_accuracy": 0.94}


def record(teacher: dict[str, float] | None = TEACHER, **spec: Any) -> StudyRecord:
    return StudyRecord(
        id=1,
        name="made-up",
        spec=read_study({**SPEC, **spec}).model_dump(mode="json"),
        state=StudyState.COMPLETED,
        stop_reason=StopReason.TRIALS,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=12.34,
        teacher=teacher,
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


def trial(
    number: int,
    accuracy: float | None,
    *,
    parameters: int = 100,
    epochs: int = 9,
    candidate: int | None = None,
    kind: TrialKind = TrialKind.SEARCH,
    state: TrialState = TrialState.COMPLETE,
    **metrics: float,
) -> Trial:
    """A trial with one evaluation, or with none if it has no accuracy."""
    measured = {} if accuracy is None else {"accuracy": accuracy, **metrics}
    return Trial(
        number=number,
        kind=kind,
        candidate=number if candidate is None else candidate,
        architecture=Architecture("made-up", {"width": number}),
        distillation={"kd.weight": 0.5},
        cost=Cost(parameters, 4 * parameters, 50, 600),
        repeat=0,
        state=state,
        epochs=epochs,
        evaluations=(Evaluation(epochs, measured),) if measured else (),
        failure=Failure(FailureClass.NAN, "nan") if state is TrialState.FAILED else None,
    )


def retrained(candidate: int, *scores: float, kind: TrialKind = TrialKind.FINAL) -> list[Trial]:
    """A run of the final stage for each test accuracy; validation is 0.01 better."""
    first = 1_000_000 + 100 * candidate + (50 if kind is TrialKind.BASELINE else 0)
    return [
        trial(
            first + n,
            score + 0.01,
            candidate=candidate,
            kind=kind,
            epochs=20,
            test_accuracy=score,
            test_ece=0.1,
        )
        for n, score in enumerate(scores)
    ]


def test_trials_are_counted_by_how_they_ended_and_only_those_of_the_search() -> None:
    trials = [
        trial(0, 0.9),
        trial(1, 0.5, epochs=1, state=TrialState.PAUSED),
        trial(2, None, state=TrialState.INFEASIBLE),
        trial(3, None, state=TrialState.FAILED),
        trial(4, None, state=TrialState.QUEUED),
        trial(5, None, state=TrialState.RUNNING),
        *retrained(0, 0.9),
    ]
    assert count(trials) == {
        "total": 6,
        "complete": 1,
        "pruned": 1,
        "infeasible": 1,
        "failed": 1,
        "unfinished": 2,
    }


def test_budget_is_absolute_as_soon_as_the_teacher_is_measured() -> None:
    assert budget_of(record()).limits == {"parameters": 100, "weight_bytes": 65536}
    assert budget_of(record(teacher=None)).limits == {"weight_bytes": 65536}


def test_front_has_the_non_dominated_with_the_best_first_objective_first() -> None:
    trials = [
        trial(0, 0.7, parameters=50),
        trial(1, 0.9, parameters=90),
        trial(2, 0.6, parameters=60),
    ]
    front = summarise(record(), trials)["front"]
    assert [(row["trial"], row["accuracy"], row["parameters"]) for row in front] == [
        (1, 0.9, 90),
        (0, 0.7, 50),
    ]
    assert front[0]["choices"] == {"width": 1}
    assert front[0]["distillation"] == {"kd.weight": 0.5}
    assert front[0]["epochs"] == 9


def test_study_that_has_not_begun_has_an_empty_summary() -> None:
    summary = summarise(record(teacher=None), [])
    assert summary["trials"]["total"] == 0
    assert summary["teacher"] == {}
    assert summary["front"] == summary["final"] == []
    assert summary["seconds"] == 12.3


def test_teacher_that_is_not_trained_yet_has_costs_and_no_accuracy() -> None:
    summary = summarise(record(teacher={"parameters": 1000}), [])
    assert summary["teacher"] == {"accuracy": None, "parameters": 1000}
    assert summary["budget"] == {"parameters": 100, "weight_bytes": 64 * 1024}


def test_final_rows_are_means_over_the_seeds_with_the_baseline_beside_them() -> None:
    trials = [
        trial(0, 0.8),
        *retrained(0, 0.90, 0.94),
        *retrained(0, 0.86, 0.88, kind=TrialKind.BASELINE),
    ]
    (row,) = final_rows(record(), trials)
    assert (row["trial"], row["candidate"], row["seeds"], row["epochs"]) == (0, 0, 2, 20)
    assert row["test_accuracy"] == pytest.approx(0.92)
    assert row["test_accuracy_sd"] == pytest.approx(statistics.stdev([0.90, 0.94]))
    assert row["validation_accuracy"] == pytest.approx(0.93)
    assert row["baseline_test_accuracy"] == pytest.approx(0.87)
    assert row["ece"] == pytest.approx(0.1)


def test_one_seed_has_no_spread() -> None:
    (row,) = final_rows(record(), [trial(0, 0.8), *retrained(0, 0.9)])
    assert row["test_accuracy_sd"] == 0
    assert "baseline_test_accuracy" not in row


def test_best_validation_accuracy_is_the_first_final_row_whatever_the_test_split_says() -> None:
    first = retrained(0, 0.70)
    second = [
        trial(
            1_000_100,
            0.99,
            candidate=1,
            kind=TrialKind.FINAL,
            epochs=20,
            test_accuracy=0.5,
            test_ece=0.1,
        )
    ]
    trials = [trial(0, 0.9, parameters=90), trial(1, 0.8, parameters=50), *first, *second]
    assert [row["trial"] for row in final_rows(record(), trials)] == [1, 0]


def test_longer_final_stage_replaces_the_shorter_one() -> None:
    short = trial(
        1_000_000, 0.5, candidate=0, kind=TrialKind.FINAL, epochs=5, test_accuracy=0.5, test_ece=0.1
    )
    (row,) = final_rows(record(), [trial(0, 0.8), short, *retrained(0, 0.9, 0.9)])
    assert (row["epochs"], row["seeds"]) == (20, 2)
    assert row["test_accuracy"] == pytest.approx(0.9)


def test_study_without_final_stage_has_no_final_rows() -> None:
    assert final_rows(record(final=None), [trial(0, 0.8), *retrained(0, 0.9)]) == []
