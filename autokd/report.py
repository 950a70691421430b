"""What a study found, as plain data: the JSON of `search` and `front`, and the tables beside it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from autokd.budget import COST_METRICS, Budget
from autokd.multiobjective import Objective, ParetoFront
from autokd.spec import FidelitySpec, Quantity
from autokd.store import StudyRecord
from autokd.trial import Trial, TrialKind, TrialState


def summarise(record: StudyRecord, trials: Sequence[Trial]) -> dict[str, Any]:
    """The study's result as JSON data.

    Returns:
        `study`, `state`, `stop_reason`, `error`, `seconds`, `trials` (counts of search), `teacher`
        (figures; no accuracy before it is trained), `budget` (absolute), `objectives`, `front` (one
        row per trial, best first objective first; accuracies are shares in [0, 1] of the validation
        split) and `final` (one row per retrained candidate, best validation accuracy first; means
        over the seeds).
    """
    objectives = objectives_of(record)
    front = ParetoFront.from_trials(trials, objectives)
    return {
        "study": record.name,
        "state": record.status,
        "stop_reason": record.stop_reason.value if record.stop_reason else None,
        "error": record.error,
        "seconds": round(record.seconds, 1),
        "trials": count(trials),
        "teacher": {"accuracy": None, **record.teacher} if record.teacher else {},
        "budget": dict(budget_of(record).limits),
        "objectives": [
            {"metric": objective.metric, "direction": objective.direction}
            for objective in objectives
        ],
        "front": [front_row(trial) for trial in front.trials],
        "final": final_rows(record, trials),
    }


def objectives_of(record: StudyRecord) -> tuple[Objective, ...]:
    """The axes of the study's front."""
    return tuple(Objective(axis["metric"], axis["direction"]) for axis in record.spec["objectives"])


def axes_of(record: StudyRecord) -> tuple[str, str]:
    """Metrics of the study's picture: x, the second objective or the parameters; y, the first."""
    first, *others = objectives_of(record)
    return (others[0].metric if others else "parameters"), first.metric


def rungs_of(record: StudyRecord) -> tuple[int, ...]:
    """Epochs at which the rungs of the study's ladder end, ascending."""
    return FidelitySpec.model_validate(record.spec["fidelity"]).rungs


def budget_of(record: StudyRecord) -> Budget:
    """The study's budget in absolute numbers; empty as long as the teacher is not measured."""
    teacher = record.teacher or {}
    given = {name: Quantity.parse(text) for name, text in record.spec["budget"].items() if text}
    return Budget(
        {
            name: quantity.resolve(teacher.get(name, 0))
            for name, quantity in given.items()
            if not quantity.relative or name in teacher
        }
    )


def count(trials: Iterable[Trial]) -> dict[str, int]:
    """Search trials by how they ended; `pruned` were stopped at a lower rung."""
    states = [trial.state for trial in trials if trial.kind is TrialKind.SEARCH]
    return {
        "total": len(states),
        "complete": states.count(TrialState.COMPLETE),
        "pruned": states.count(TrialState.PAUSED),
        "infeasible": states.count(TrialState.INFEASIBLE),
        "failed": states.count(TrialState.FAILED),
        "unfinished": states.count(TrialState.QUEUED) + states.count(TrialState.RUNNING),
    }


def front_row(trial: Trial) -> dict[str, Any]:
    """One trial: its figures, and the choices that made it."""
    return {
        "trial": trial.number,
        "candidate": trial.candidate,
        "epochs": epochs_done(trial),
        **finite_figures(trial),
        "choices": dict(trial.architecture.choices),
        "distillation": dict(trial.distillation),
    }


def epochs_done(trial: Trial) -> int:
    """Epochs at which the highest finished rung ended; 0 before the first."""
    return trial.evaluations[-1].epochs if trial.evaluations else 0


def finite_figures(trial: Trial) -> dict[str, float | None]:
    """The figures by name; None for what JSON has no word for: NaN and infinity."""
    return {name: finite(value) for name, value in trial.figures.items()}


def finite(value: float | None) -> float | None:
    """The number, or None for what JSON has no word for: NaN and infinity."""
    return value if value is not None and math.isfinite(value) else None


def final_rows(record: StudyRecord, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The retrained of the front's best candidates, best mean validation accuracy first.

    Every figure is a mean over the finished seeds, with its standard deviation (n - 1; 0 for one
    seed) in `…_sd`; `baseline_…` are the same students trained without the teacher. `family`, if
    fresh draws of the student's generator were trained: how many (`draws`), their accuracies
    likewise over the draws, and the trial number of the best by validation (`best_trial`).
    """
    rows: list[dict[str, Any]] = []
    if not any(trial.kind is TrialKind.FINAL for trial in trials):
        return rows
    top = (record.spec["final"] or {}).get("top", 0)
    for best in ParetoFront.from_trials(trials, objectives_of(record)).top(top):
        runs = finished(trials, best.candidate, TrialKind.FINAL)
        if not runs:
            continue
        row: dict[str, Any] = {
            "trial": best.number,
            "candidate": best.candidate,
            "epochs": runs[0].epochs,
            "seeds": len(runs),
            **{name: runs[0].figures[name] for name in COST_METRICS if name in runs[0].figures},
            **_mean("validation_accuracy", "accuracy", runs),
            **_mean("test_accuracy", "test_accuracy", runs),
            **_mean("ece", "test_ece", runs),
        }
        baseline = finished(trials, best.candidate, TrialKind.BASELINE)
        if baseline:
            row |= _mean("baseline_validation_accuracy", "accuracy", baseline)
            row |= _mean("baseline_test_accuracy", "test_accuracy", baseline)
            row |= _mean("baseline_ece", "test_ece", baseline)
        family = family_of(trials, best)
        if family:
            row["family"] = {
                "draws": len(family),
                **_mean("validation_accuracy", "accuracy", family),
                **_mean("test_accuracy", "test_accuracy", family),
                "best_trial": max(family, key=lambda draw: draw.figures["accuracy"]).number,
            }
        rows.append(row)
    return sorted(rows, key=lambda row: -row["validation_accuracy"])


def family_of(trials: Iterable[Trial], best: Trial) -> list[Trial]:
    """The finished fresh draws of the generator that a candidate is a draw of."""
    return _longest(
        trial
        for trial in trials
        if trial.kind is TrialKind.FAMILY
        and trial.state is TrialState.COMPLETE
        and trial.architecture.choices == best.architecture.choices
        and trial.distillation == best.distillation
    )


def finished(trials: Iterable[Trial], candidate: int, kind: TrialKind) -> list[Trial]:
    """The finished retrainings of one kind of a candidate, one for each seed."""
    return _longest(
        trial
        for trial in trials
        if trial.candidate == candidate
        and trial.kind is kind
        and trial.state is TrialState.COMPLETE
    )


def _longest(trials: Iterable[Trial]) -> list[Trial]:
    """Those of most epochs: a final stage that was run again with more replaces the shorter one."""
    runs = list(trials)
    longest = max((trial.epochs for trial in runs), default=0)
    return [trial for trial in runs if trial.epochs == longest]


def _mean(name: str, metric: str, runs: Sequence[Trial]) -> dict[str, float]:
    values = [trial.figures[metric] for trial in runs if metric in trial.figures]
    if not values:
        return {}
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return {name: statistics.fmean(values), f"{name}_sd": sd}
