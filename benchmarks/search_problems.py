"""Problems with known answers, on which search strategies are compared: tables of real networks.

Each is a `Problem` as a strategy gets it in a study, with a table in place of the training. Those
with a function are in `search_functions`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import (
    CategoricalDistribution,
    json_to_distribution,
)

from autokd.budget import Cost
from autokd.multiobjective import Objective, hypervolume, is_non_dominated
from autokd.space import Architecture, Condition, Domain
from autokd.strategies import Candidate, Problem

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
        observe: the metrics that a strategy is told; draws the noise.
        best: best value of the first objective within the budget, with the sign users know.
        target: what counts as found, likewise.
        limits: names of the figures that have a limit.
        reference: of the hypervolume, with several objectives, a value of each.
        volume: hypervolume of the true front (or of the best front known).
    """

    name: str
    problem: Problem
    truth: Callable[[Candidate], Mapping[str, float]]
    observe: Callable[[Candidate, np.random.Generator], Mapping[str, float]]
    best: float
    target: float
    limits: tuple[str, ...] = ()
    reference: tuple[float, ...] = ()
    volume: float = math.nan
    scale: tuple[float, ...] = ()

    def cost(self, architecture: Architecture) -> Cost:
        """The figures of an architecture in the form that the record wants."""
        figures = self.problem.figures(architecture)
        return Cost(
            parameters=int(figures["parameters"]),
            weight_bytes=4 * int(figures["parameters"]),
            peak_activation_bytes=0,
            macs=int(figures.get("macs", 0)),
        )

    def front_volume(self, losses: np.ndarray) -> float:
        """Hypervolume of (n, m) losses as a share of the true one."""
        scaled = losses / np.asarray(self.scale)
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


# NAS-Bench-Macro

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
    runs = table["acc"].astype(float)
    accuracy, parameters, macs = runs.mean(1), table["params"], table["flops"]
    rows = {tuple(row): index for index, row in enumerate(table["X"].tolist())}
    domain = Domain({f"layer_{i}": CategoricalDistribution(_BLOCKS) for i in range(_LAYERS)})

    def row(architecture: Architecture) -> int:
        return rows[
            tuple(_BLOCKS.index(architecture.choices[f"layer_{i}"]) for i in range(_LAYERS))
        ]

    def figures(architecture: Architecture) -> Mapping[str, float]:
        index = row(architecture)
        return {"parameters": float(parameters[index]), "macs": float(macs[index])}

    def truth(candidate: Candidate) -> Mapping[str, float]:
        index = row(candidate.architecture)
        return {**figures(candidate.architecture), "accuracy": accuracy[index]}

    def observe(candidate: Candidate, rng: np.random.Generator) -> Mapping[str, float]:
        index = row(candidate.architecture)
        noisy = runs[index, rng.integers(runs.shape[1])]
        return {"accuracy": noisy if kind == "noisy" else accuracy[index]}

    limits = {"percentile_30": 1_353_514, "percentile_5": 785_834}
    limit = limits.get(kind, parameters.max())
    feasible = np.sort(accuracy[parameters <= limit])
    objectives = (ACCURACY, PARAMETERS) if kind == "front" else (ACCURACY,)
    scale = (np.ptp(accuracy), float(np.ptp(parameters)))
    reference = (-float(np.median(accuracy)), float(parameters.max()))
    losses = np.stack([-accuracy, parameters], axis=1)
    front = losses[is_non_dominated(losses)]
    return Benchmark(
        name=f"macro_{kind}",
        problem=Problem(
            space="nasbench_macro",
            draws=False,
            architecture=domain,
            distillation=Domain({}),
            objectives=objectives,
            violations=within_parameters(figures, limit),
            rungs=(EPOCHS,),
            figures=figures,
            limits={"parameters": limit} if kind in limits else {},
        ),
        truth=truth,
        observe=observe,
        best=feasible[-1],
        target=feasible[-max(1, round(len(feasible) / 1000))],
        limits=("parameters",) if kind in limits else (),
        reference=reference,
        scale=scale,
        volume=hypervolume(front / scale, np.asarray(reference) / scale),
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

    losses = sorted(student["loss"][-1] for student in students)
    return Benchmark(
        name="digits",
        problem=replace(joint, figures=figures),
        truth=truth,
        observe=lambda candidate, rng: truth(candidate),
        best=losses[0],
        target=losses[2],
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
