"""The Pareto front over any two figures, and the best student within limits."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from autokd.analysis.hypervolume import reference_point
from autokd.budget import COST_METRICS, Budget
from autokd.errors import UnknownNameError
from autokd.multiobjective import Objective, ParetoFront
from autokd.report import (
    axes_of,
    budget_of,
    final_rows,
    finished,
    finite,
    front_row,
    objectives_of,
    rungs_of,
)
from autokd.spec import Metric
from autokd.store import StudyRecord
from autokd.trial import Trial, TrialKind, TrialState


def front(
    record: StudyRecord,
    trials: Sequence[Trial],
    x: str | None = None,
    y: str | None = None,
    *,
    limits: Mapping[str, float] | None = None,
    rung: int | None = None,
) -> dict[str, Any]:
    """The front over two figures and what stands around it, as JSON data.

    Args:
        record: the study.
        trials: all its trials.
        x: a figure of the students; None for the second objective or the parameters.
        y: another; None for the first objective. The front's rows come with the best of it first.
        limits: largest value by name of a figure of the cost; students beyond are left out.
        rung: compare what trials had reached when this rung ended; None: the complete ones.

    Returns:
        `x` and `y` (metric and direction), `front` (rows), `teacher` and `budget` (a value or None
        on each axis), `baseline` (for each candidate that was retrained without the teacher the
        mean over its seeds), `hypervolume` and its `reference` (by metric; see `reference_point`;
        limits do not move it).

    Raises:
        UnknownNameError: no such figure, or no such rung.
    """
    default_x, default_y = axes_of(record)
    axes = {"x": objective_of(record, x or default_x), "y": objective_of(record, y or default_y)}
    _check_names("figure", (axis.metric for axis in axes.values()), metrics_of(record, trials))
    _check_names("limit", limits or (), COST_METRICS)
    if rung is not None:
        _check_names("rung", [str(rung)], map(str, rungs_of(record)))
    comparable = trials if rung is None else _at(rung, trials)
    objectives = (axes["y"], axes["x"])
    found = ParetoFront.from_trials(comparable, objectives)
    reference = reference_point(record, found)
    if limits:
        budget = Budget(limits)
        within = [trial for trial in comparable if not budget.violations(trial.cost)]
        found = ParetoFront.from_trials(within, objectives)
    return {
        **{
            place: {"metric": axis.metric, "direction": axis.direction}
            for place, axis in axes.items()
        },
        "front": [front_row(trial) for trial in found.trials],
        "teacher": _places(axes, record.teacher or {}),
        "budget": _places(axes, budget_of(record).limits),
        "baseline": _baseline(record, trials, axes),
        "hypervolume": finite(found.hypervolume([reference[axis.metric] for axis in objectives])),
        "reference": reference,
    }


def best(
    record: StudyRecord, trials: Sequence[Trial], limits: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The row of the student with the best first objective within limits.

    Raises:
        UnknownNameError: a limit of what is no figure of the cost.
        NotFoundError: no trial has finished yet.
        NothingFeasibleError: no finished trial is within the limits; names the nearest.
    """
    _check_names("limit", limits or (), COST_METRICS)
    chosen = ParetoFront.from_trials(trials, objectives_of(record)).best(Budget(limits or {}))
    return front_row(chosen)


def objective_of(record: StudyRecord, metric: str) -> Objective:
    """A figure with the way in which it gets better: accuracies by more, all others by less."""
    asked = {objective.metric: objective for objective in objectives_of(record)}
    is_accuracy = metric.endswith("accuracy")
    return asked.get(metric) or Objective(metric, "maximize" if is_accuracy else "minimize")


def metrics_of(record: StudyRecord, trials: Iterable[Trial]) -> list[str]:
    """The names of all figures that a student of the study has, or may be searched for."""
    names = set(get_args(Metric))
    for trial in trials:
        for evaluation in trial.evaluations:
            names.update(evaluation.metrics)
    return sorted(names)


def _at(rung: int, trials: Iterable[Trial]) -> list[Trial]:
    """The search trials as they were when they finished a rung; all equally trained."""
    found = []
    for trial in trials:
        reached = tuple(each for each in trial.evaluations if each.epochs == rung)
        if reached and trial.kind is TrialKind.SEARCH and trial.state is not TrialState.FAILED:
            found.append(replace(trial, state=TrialState.COMPLETE, evaluations=reached))
    return found


def _baseline(
    record: StudyRecord, trials: Sequence[Trial], axes: Mapping[str, Objective]
) -> list[dict[str, Any]]:
    points = []
    for row in final_rows(record, trials):
        runs = finished(trials, row["candidate"], TrialKind.BASELINE)
        if runs:
            means = {
                place: finite(statistics.fmean(axis.value(run.figures) for run in runs))
                for place, axis in axes.items()
            }
            points.append({"candidate": row["candidate"], **means})
    return points


def _places(axes: Mapping[str, Objective], figures: Mapping[str, float]) -> dict[str, Any]:
    return {place: finite(figures.get(axis.metric)) for place, axis in axes.items()}


def _check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    catalogue = list(known)
    for name in names:
        if name not in catalogue:
            raise UnknownNameError(kind, name, catalogue)
