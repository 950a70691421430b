"""Problems with known answers, on which search strategies are compared: tables of real networks.

Each is a `Problem` as a strategy gets it in a study, with a table in place of the training. Those
with a function are in `search_functions`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import (
    CategoricalDistribution,
    json_to_distribution,
)

from autokd.budget import Cost
from autokd.multiobjective import Objective, hypervolume, is_non_dominated, losses
from autokd.space import Architecture, Choices, Condition, Domain
from autokd.strategies import Candidate, Problem
from autokd.strategies.bayesian.pool import all_points

ACCURACY = Objective("accuracy", "maximize")
PARAMETERS = Objective("parameters", "minimize")
EPOCHS = 1


@dataclass(frozen=True)
class Benchmark:
    """A problem and what can be known of it.

    Attributes:
        name: of the problem.
        problem: as a strategy gets it.
        truth: the figures of a candidate without noise, cost included.
        observe: the metrics that a strategy is told, and those known figures that are objectives;
            draws the noise.
        best: best value of the first objective within the budget, with the sign users know.
        target: what counts as found, likewise.
        reference: of the hypervolume, with several objectives, a value of each.
        volume: hypervolume of the true front (or of the best front known).
        scale: of the losses when volumes are taken, a value of each.
    """

    name: str
    problem: Problem
    truth: Callable[[Candidate], Mapping[str, float]]
    observe: Callable[[Candidate, np.random.Generator], Mapping[str, float]]
    best: float
    target: float
    reference: tuple[float, ...] = ()
    volume: float = math.nan
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        several = len(self.problem.objectives)
        if several > 1 and not (len(self.reference) == len(self.scale) == several):
            raise ValueError(
                f"{self.name}: expected a reference and a scale for each of {several} objectives, "
                f"got {len(self.reference)} and {len(self.scale)}"
            )

    def cost(self, architecture: Architecture) -> Cost:
        """The figures of an architecture in the form that the record wants."""
        figures = self.problem.figures(architecture)
        parameters = int(figures.get("parameters", 0))
        return Cost(
            parameters=parameters,
            weight_bytes=4 * parameters,
            peak_activation_bytes=0,
            macs=int(figures.get("macs", 0)),
        )

    def front_volume(self, table: np.ndarray) -> float:
        """Hypervolume of (n, m) losses as a share of the true one."""
        scaled = table / np.asarray(self.scale)
        return (
            hypervolume(scaled, np.asarray(self.reference) / np.asarray(self.scale)) / self.volume
        )


def within_parameters(
    figures: Callable[[Architecture], Mapping[str, float]], limit: float
) -> Callable[[Architecture], Mapping[str, float]]:
    """The violations of a limit of the parameters."""

    def violations(architecture: Architecture) -> Mapping[str, float]:
        excess = figures(architecture)["parameters"] / limit - 1
        return {"parameters": excess} if excess > 0 else {}

    return violations


# Tables in which every network of a space was trained

_MOST_POINTS = 1_000_000
"""A larger domain is not looked through for points that a table lacks."""


def tabulated(
    name: str,
    domain: Domain,
    points: Sequence[Choices],
    trained: Mapping[str, np.ndarray],
    figures: Mapping[str, np.ndarray],
    *,
    objectives: Sequence[Objective] = (ACCURACY,),
    limits: Mapping[str, float] | None = None,
    noisy: bool = False,
) -> Benchmark:
    """The problem of a table. What counts as found is one of the top 0.1 % within the budget.

    Args:
        name: of the problem.
        domain: of the architectures.
        points: n networks: each point of the domain, once.
        trained: (n, r) values by metric, of r trainings of each network. Their mean is scored.
        figures: (n,) positive values of what is known without training, by name.
        objectives: of both; the first of `trained`.
        limits: the most that the budget allows of a figure.
        noisy: whether a strategy is told one of the trainings, and not the mean of all.

    Raises:
        ValueError: a point of the domain is missing or is there twice, or the table is not as
            described; says what is wrong.
    """
    limits = limits or {}
    rows = _rows(name, domain, points)
    trained = {one: np.asarray(runs, dtype=float) for one, runs in trained.items()}
    figures = {one: np.asarray(of, dtype=float) for one, of in figures.items()}
    _check(name, len(points), trained, figures, objectives, limits)
    known = [{one: float(of[row]) for one, of in figures.items()} for row in range(len(points))]
    truths = [
        {**costs, **{one: float(runs[row].mean()) for one, runs in trained.items()}}
        for row, costs in enumerate(known)
    ]

    metrics = {*trained, *(objective.metric for objective in objectives)}

    def row_of(architecture: Architecture) -> int:
        return rows[_key(architecture.choices)]

    def violations(architecture: Architecture) -> Mapping[str, float]:
        costs = known[row_of(architecture)]
        excess = {one: costs[one] / limit - 1 for one, limit in limits.items()}
        return {one: share for one, share in excess.items() if share > 0}

    def observe(candidate: Candidate, rng: np.random.Generator) -> Mapping[str, float]:
        row = row_of(candidate.architecture)
        told = {one: truths[row][one] for one in metrics}
        if noisy:
            run = rng.integers(min(runs.shape[1] for runs in trained.values()))
            told |= {one: float(runs[row, run]) for one, runs in trained.items()}
        return told

    within = [row for row, costs in enumerate(known) if all(costs[o] <= limits[o] for o in limits)]
    if not within:
        raise ValueError(f"{name}: expected networks within {dict(limits)}, got none")
    table = losses(objectives, (truths[row] for row in within))
    order = np.argsort(table[:, 0])
    best, target = (
        truths[within[order[rank]]][objectives[0].metric]
        for rank in (0, max(1, round(len(order) / 1000)) - 1)
    )
    scale = np.ptp(table, axis=0)
    reference = np.array([np.median(table[:, 0]), *table[:, 1:].max(axis=0)])
    front = table[is_non_dominated(table)]
    if len(objectives) > 1 and not (scale.all() and (front < reference).all(axis=1).any()):
        raise ValueError(f"{name}: expected objectives of several values within the limits")
    return Benchmark(
        name=name,
        problem=Problem(
            space=name,
            draws=False,
            architecture=domain,
            distillation=Domain({}),
            objectives=tuple(objectives),
            violations=violations,
            rungs=(EPOCHS,),
            figures=lambda architecture: known[row_of(architecture)],
            limits=limits,
        ),
        truth=lambda candidate: truths[row_of(candidate.architecture)],
        observe=observe,
        best=best,
        target=target,
        reference=tuple(reference),
        scale=tuple(scale),
        volume=hypervolume(front / scale, reference / scale) if len(objectives) > 1 else math.nan,
    )


def _rows(name: str, domain: Domain, points: Sequence[Choices]) -> dict[Hashable, int]:
    """The row of each point of the domain."""
    every = all_points(domain, _MOST_POINTS)
    if every is None:
        raise ValueError(
            f"{name}: expected a domain of whole numbers and categories, of at most "
            f"{_MOST_POINTS:,} points"
        )
    rows: dict[Hashable, int] = {}
    for row, point in enumerate(points):
        before = rows.setdefault(_key(domain.canonical(point)), row)
        if before != row:
            raise ValueError(f"{name}: expected each point once, got {point} in {before} and {row}")
    missing = [point for point in every if _key(point) not in rows]
    if missing:
        raise ValueError(
            f"{name}: expected each of the domain's {len(every)} points, got none for "
            f"{len(missing)} of them, as {missing[0]}"
        )
    return rows


def _check(
    name: str,
    n: int,
    trained: Mapping[str, np.ndarray],
    figures: Mapping[str, np.ndarray],
    objectives: Sequence[Objective],
    limits: Mapping[str, float],
) -> None:
    for metric, runs in trained.items():
        if runs.ndim != 2 or len(runs) != n or not runs.size or not np.isfinite(runs).all():
            raise ValueError(
                f"{name}: expected {metric} as finite numbers of shape ({n}, trainings), "
                f"got shape {runs.shape} and {(~np.isfinite(runs)).sum()} that are none"
            )
    for figure, values in figures.items():
        if values.shape != (n,) or not (np.isfinite(values) & (values > 0)).all():
            raise ValueError(
                f"{name}: expected {figure} as positive numbers of shape ({n},), "
                f"got shape {values.shape}, the least {values.min(initial=np.inf)}"
            )
    known = [*trained, *figures]
    for index, objective in enumerate(objectives):
        if objective.metric not in (known if index else trained):
            raise ValueError(
                f"{name}: expected objectives among {', '.join(known)}, the first one that "
                f"training tells; got {objective.metric}"
            )
    for limit in limits:
        if limit not in figures:
            raise ValueError(f"{name}: expected limits of {', '.join(figures)}; got {limit}")


def _key(choices: Choices) -> Hashable:
    return tuple(sorted(choices.items()))


_LAYERS = 8
_BLOCKS = ("identity", "mb_k3_e3", "mb_k5_e6")


def nasbench_macro(data: Path, kind: str) -> Benchmark:
    """One of the problems on NAS-Bench-Macro.

    Args:
        data: folder with `nasbench_macro/nasbench_macro.npz`.
        kind: `accuracy`, `noisy` (one of the three runs is told, the mean is scored),
            `percentile_30` and `percentile_5` (of the parameters, as budget) or `front` (accuracy
            and parameters).

    References:
        X. Su, T. Huang, Y. Li, S. You, F. Wang, C. Qian, C. Zhang and C. Xu, "Prioritized
        architecture sampling with Monto-Carlo tree search", CVPR 2021.
    """
    table = np.load(data / "nasbench_macro" / "nasbench_macro.npz")
    limits = {"percentile_30": 1_353_514, "percentile_5": 785_834}
    return tabulated(
        f"macro_{kind}",
        Domain({f"layer_{i}": CategoricalDistribution(_BLOCKS) for i in range(_LAYERS)}),
        [{f"layer_{i}": _BLOCKS[x] for i, x in enumerate(row)} for row in table["X"].tolist()],
        {"accuracy": table["acc"].astype(float)},
        {"parameters": table["params"], "macs": table["flops"]},
        objectives=(ACCURACY, PARAMETERS) if kind == "front" else (ACCURACY,),
        limits={"parameters": limits[kind]} if kind in limits else {},
        noisy=kind == "noisy",
    )


# Students of the digits study

_TABLE = Path(__file__).parent / "tables" / "digits.json"
_LOSS = Objective("loss", "minimize")


def digits() -> Benchmark:
    """Real students of `hierarchical_graph`, distillation settings included; see record_digits.py.

    A table has few points of the space. A proposal is told the validation loss of the student of
    the table that is nearest to it (mean difference of the encoded parameters) and was not told
    before, so no search ends before all have been. The target is one of the best three of 100.
    """
    table = json.loads(_TABLE.read_text())
    architecture, distillation = domains(table)
    students = table["students"]
    joint = Problem("digits", True, architecture, distillation, (_LOSS,), lambda _: {}, (EPOCHS,))
    points = joint.domain.encode(
        joint.join(student["choices"], student["distillation"]) for student in students
    )
    shapes = architecture.encode(student["choices"] for student in students)
    given: dict[str, int] = {}

    def figures(one: Architecture) -> Mapping[str, float]:
        cost = students[int(_apart(shapes, architecture.encode([one.choices])).argmin())]["cost"]
        return {name: float(cost[name]) for name in ("parameters", "macs")}

    def truth(candidate: Candidate) -> Mapping[str, float]:
        if candidate.key not in given:
            choices, taught = candidate.architecture.choices, candidate.distillation
            apart = _apart(points, joint.domain.encode([joint.join(choices, taught)]))
            apart[list(given.values())] = np.inf
            given[candidate.key] = int(apart.argmin())
        student = students[given[candidate.key]]
        return {**figures(candidate.architecture), "loss": student["loss"][-1]}

    ends = sorted(student["loss"][-1] for student in students)
    return Benchmark(
        name="digits",
        problem=replace(joint, figures=figures),
        truth=truth,
        observe=lambda candidate, rng: truth(candidate),
        best=ends[0],
        target=ends[2],
    )


def _apart(rows: np.ndarray, one: np.ndarray) -> np.ndarray:
    """(n,) mean differences of n encoded points from one; that a value is absent is a middle."""
    difference: np.ndarray = np.abs(np.nan_to_num(rows, nan=0.5) - np.nan_to_num(one, nan=0.5))
    return difference.mean(axis=1)


def domains(table: Mapping[str, Any]) -> tuple[Domain, Domain]:
    """Of the architecture and of the distillation, of a table made by `record_digits.py`."""
    saved = table["domains"]
    return _domain(saved["architecture"]), _domain(saved["distillation"])


def _domain(saved: Mapping[str, Any]) -> Domain:
    return Domain(
        {
            name: json_to_distribution(json.dumps(distribution))
            for name, distribution in saved["parameters"].items()
        },
        {
            name: Condition(parent, tuple(values))
            for name, (parent, values) in saved["conditions"].items()
        },
    )
