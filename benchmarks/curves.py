"""What early stopping saves, on recorded learning curves of real students, as a Markdown table.

    python benchmarks/curves.py
    python benchmarks/curves.py --workers 4 --seeds 100

The students of `tables/digits.json` come in random order, without a model of which are good, so
that only the rule that stops them is compared. Told is the validation accuracy after 3, 9 and 27
epochs. A figure is the median over the seeds, with quartiles, after so many epochs of training in
all: with one objective how far the best student that was trained to the end is behind the best of
the table, in points; with parameters as second objective the share of the table's hypervolume.
"""

from __future__ import annotations

import argparse
import heapq
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from search_problems import domains

from autokd.budget import Cost
from autokd.multiobjective import Objective, hypervolume, is_non_dominated, losses
from autokd.seeding import rng_for
from autokd.space import Architecture
from autokd.strategies import Candidate, Fidelity, GainPerEpoch, Problem, SuccessiveHalving
from autokd.trial import Evaluation, Trial, TrialKind, TrialState

RUNGS = (3, 9, 27)
MARKS = (150, 300, 600, 1200)
ACCURACY = Objective("accuracy", "maximize")
PARAMETERS = Objective("parameters", "minimize")

RULES: dict[str, Callable[[Problem], Fidelity]] = {
    "none: all in full": lambda problem: SuccessiveHalving(RUNGS[-1:], 3, problem.objectives),
    "halving": lambda problem: SuccessiveHalving(RUNGS, 3, problem.objectives),
    "halving, 3 brackets": lambda problem: SuccessiveHalving(RUNGS, 3, problem.objectives, 3),
    "gain": lambda problem: GainPerEpoch(problem, 3),
}


def problem_of(table: dict[str, Any], axes: tuple[Objective, ...]) -> Problem:
    """The search that a table records, for these objectives."""
    architecture, distillation = domains(table)
    costs = {_candidate(student).architecture.key: _cost(student) for student in table["students"]}
    return Problem(
        space="table",
        draws=True,
        architecture=architecture,
        distillation=distillation,
        objectives=axes,
        violations=lambda one: {},
        rungs=RUNGS,
        figures=lambda one: costs[one.key].figures(),
    )


def play(
    students: list[dict[str, Any]], rule: Fidelity, workers: int, seed: int
) -> list[tuple[int, int]]:
    """Students trained to the end, each with the epochs that all had trained by then."""
    rng = rng_for(seed, 0, "order")
    order = rng.permutation(len(students))
    trials: dict[int, Trial] = {}
    under_way: list[tuple[float, int]] = []
    spent, now, done = 0, 0.0, []
    while spent < MARKS[-1]:
        while len(under_way) < workers:
            trial = rule.promotion(trials.values())
            if trial is not None:
                epochs = rule.next_epochs(trial)
                trial = replace(trial, state=TrialState.RUNNING, epochs=epochs)
            elif len(trials) < len(students):
                trial = _trial(len(trials), students[order[len(trials)]], rule)
            else:
                trial = None
            if trial is None:
                break
            trials[trial.number] = trial
            had = trial.evaluations[-1].epochs if trial.evaluations else 0
            heapq.heappush(under_way, (now + trial.epochs - had, trial.number))
        if not under_way:
            break
        now, number = heapq.heappop(under_way)
        trial = trials[number]
        had = trial.evaluations[-1].epochs if trial.evaluations else 0
        spent += trial.epochs - had
        value = students[order[number]]["accuracy"][trial.epochs - 1]
        told = Evaluation(trial.epochs, {"accuracy": value})
        last = trial.epochs == RUNGS[-1]
        state = TrialState.COMPLETE if last else TrialState.PAUSED
        trials[number] = replace(trial, state=state, evaluations=(*trial.evaluations, told))
        if last:
            done.append((spent, int(order[number])))
    return done


def _trial(number: int, student: dict[str, Any], rule: Fidelity) -> Trial:
    candidate = _candidate(student)
    return Trial(
        number=number,
        kind=TrialKind.SEARCH,
        candidate=number,
        architecture=candidate.architecture,
        distillation=candidate.distillation,
        cost=_cost(student),
        repeat=0,
        state=TrialState.RUNNING,
        epochs=rule.first_epochs(number),
    )


def _candidate(student: dict[str, Any]) -> Candidate:
    architecture = Architecture("table", student["choices"], student["seed"])
    return Candidate(architecture, student["distillation"])


def _cost(student: dict[str, Any]) -> Cost:
    return Cost(**{name: value for name, value in student["cost"].items() if name != "latency_ms"})


def figures(
    students: list[dict[str, Any]], done: list[tuple[int, int]], axes: tuple[Objective, ...]
) -> list[float]:
    """Regret in points, or the share of the hypervolume, at each mark."""
    final = [{**s["cost"], "accuracy": s["accuracy"][-1]} for s in students]
    table = losses(axes, final)
    reference, scale = table.max(axis=0), np.ptp(table, axis=0)
    whole = hypervolume((table / scale)[is_non_dominated(table)], reference / scale)
    found = []
    for mark in MARKS:
        rows = [row for spent, row in done if spent <= mark]
        if len(axes) == 1:
            found.append(100 * (table[rows, 0].min() - table[:, 0].min()) if rows else 100.0)
        else:
            found.append(hypervolume(table[rows] / scale, reference / scale) / whole)
    return found


def main() -> None:
    """Prints a table for each kind of problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    table = Path(__file__).parent / "tables" / "digits.json"
    parser.add_argument("--table", type=Path, default=table)
    options = parser.parse_args()
    recorded = json.loads(options.table.read_text())
    students = recorded["students"]
    print(f"{len(students)} students, {options.seeds} seeds, {options.workers} at a time")
    for axes in ((ACCURACY,), (ACCURACY, PARAMETERS)):
        title = "accuracy" if len(axes) == 1 else "accuracy and parameters"
        heads = [f"{mark} epochs" for mark in MARKS]
        print(f"\n### {title}\n\n| rule | {' | '.join(heads)} |\n|{'---|' * (len(MARKS) + 1)}")
        problem = problem_of(recorded, axes)
        for name, make in RULES.items():
            values = [
                figures(students, play(students, make(problem), options.workers, seed), axes)
                for seed in range(options.seeds)
            ]
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
            cells = [
                f"{b:.2f} [{a:.2f}, {c:.2f}]" for a, b, c in zip(low, middle, high, strict=True)
            ]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
