"""A candidate of the record in words and figures, without building it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autokd.card import model_card
from autokd.report import budget_of, final_rows
from autokd.store import StudyRecord
from autokd.trial import Trial

_MEASURED = ("validation_accuracy", "test_accuracy", "ece")


def describe_candidate(
    record: StudyRecord, trials: Sequence[Trial], trial: Trial
) -> dict[str, Any]:
    """What is known of a candidate, as JSON data of the shape of `student.json`.

    Args:
        record: the study.
        trials: all its trials.
        trial: the one that searched the candidate.

    Returns:
        `study`, `trial`, `candidate`, `state`, `epochs` (of its longest training),
        `architecture`, `distillation`, `cost`, `metrics` (of the final stage if it was there, as
        means over the seeds; else of the search), `budget` (absolute), `teacher`, `spec` and
        `final` (its row of `report.final_rows`, or None).
    """
    rows = final_rows(record, trials)
    final = next((row for row in rows if row["candidate"] == trial.candidate), None)
    figures = trial.figures
    epochs = trial.evaluations[-1].epochs if trial.evaluations else 0
    if final:
        metrics = {name: final[name] for name in _MEASURED if name in final}
    else:
        metrics = {"validation_accuracy": figures["accuracy"]} if "accuracy" in figures else {}
    return {
        "study": record.name,
        "trial": trial.number,
        "candidate": trial.candidate,
        "state": trial.state.value,
        "epochs": final["epochs"] if final else epochs,
        "architecture": trial.architecture.to_json(),
        "distillation": dict(trial.distillation),
        "cost": trial.cost.figures(),
        "metrics": metrics,
        "budget": dict(budget_of(record).limits),
        "teacher": dict(record.teacher or {}),
        "spec": dict(record.spec),
        "final": final,
    }


def candidate_card(record: StudyRecord, trials: Sequence[Trial], trial: Trial) -> str:
    """The model card of a candidate, as Markdown; arguments as for `describe_candidate`."""
    return model_card(describe_candidate(record, trials, trial))
