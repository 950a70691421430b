"""Problems with known answers, on which search strategies are compared: functions.

Each is a `Problem` as a strategy gets it in a study, with a function in place of the training. Its
best value within the budget can be computed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from search_problems import ACCURACY, EPOCHS, Benchmark, within_parameters

from autokd.multiobjective import Objective, hypervolume, is_non_dominated
from autokd.space import Architecture, Choice, Condition, Domain
from autokd.strategies import Candidate, Problem

_FAMILIES = {"residual": 0.0, "separable": 1.5, "mixer": -1.0, "graph": 0.5}
"""Families of networks and how much better each is at its best, in points of accuracy."""

_KERNELS = {"residual": 3, "separable": 5, "mixer": 7, "graph": 3}
_ACTIVATIONS = {"residual": "relu", "separable": "hswish", "mixer": "gelu", "graph": "relu"}
_DROPOUTS = {"residual": 0.1, "separable": 0.05, "mixer": 0.3, "graph": 0.2}
_STAGES = (0, 1, 2)
_ONE_IN_THOUSAND = 1_150
"""Limit of the parameters that one in a thousand uniform points is within."""


def conditional(limit: float = _ONE_IN_THOUSAND) -> Benchmark:
    """31 parameters, 16 of them active at a time, and one feasible point in a thousand.

    Four families of networks with five parameters each, widths and depths of three stages and four
    settings of the distillation. Accuracy grows with the logarithms of widths, depths and
    expansion, which the budget ends, and falls with the distance from each family's best setting.
    The size depends on whole numbers only: the best that the budget allows is found by trying them
    all, and the rest is at its best where the distance is 0.
    """
    figures = _figures_of_families

    def truth(candidate: Candidate) -> Mapping[str, float]:
        known = figures(candidate.architecture)
        gain = _capacity(candidate.architecture)
        return {**known, "accuracy": 60 + gain - _distance(candidate)}

    return Benchmark(
        name="conditional",
        problem=_families_problem(
            (ACCURACY,), within_parameters(figures, limit), {"parameters": limit}
        ),
        truth=truth,
        observe=lambda candidate, rng: truth(candidate),
        best=60 + _best_capacity(limit),
        target=60 + _best_capacity(limit) - 0.5,
    )


def cliffs() -> Benchmark:
    """`conditional`, but 28 % of all points diverge, to an accuracy of 10 to 11 %.

    These are the ones with a dropout above 0.4 or a temperature above 15.
    """
    smooth = conditional()

    def truth(candidate: Candidate) -> Mapping[str, float]:
        known = smooth.truth(candidate)
        choices, taught = candidate.architecture.choices, candidate.distillation
        dropout = float(choices[f"{choices['family']}.dropout"])
        if dropout <= 0.4 and float(taught["kd.temperature"]) <= 15:
            return known
        return {**known, "accuracy": 10 + zlib.crc32(candidate.key.encode()) % 100 / 100}

    return replace(
        smooth, name="cliffs", truth=truth, observe=lambda candidate, rng: truth(candidate)
    )


def two_unknown() -> Benchmark:
    """Accuracy against calibration error, both known only after training; the same domain.

    The weight of the distillation trades one for the other along a quarter of an ellipse; the
    distance of all else from its best makes both worse.
    """

    def truth(candidate: Candidate) -> Mapping[str, float]:
        known = _figures_of_families(candidate.architecture)
        angle = math.pi / 2 * float(candidate.distillation["kd.weight"])
        worse = _distance(candidate, without="kd.weight")
        return {
            **known,
            "accuracy": 90 + 5 * math.sin(angle) - worse,
            "ece": 0.12 - 0.1 * math.cos(angle) + 0.01 * worse,
        }

    angles = np.linspace(0, math.pi / 2, 2001)
    front = np.stack([-90 - 5 * np.sin(angles), 0.12 - 0.1 * np.cos(angles)], axis=1)
    reference, scale = (-85.0, 0.2), (10.0, 0.2)
    return Benchmark(
        name="two_unknown",
        problem=_families_problem((ACCURACY, Objective("ece", "minimize")), lambda _: {}, {}),
        truth=truth,
        observe=lambda candidate, rng: truth(candidate),
        best=95,
        target=94.5,
        reference=reference,
        scale=scale,
        volume=hypervolume(front / scale, np.asarray(reference) / scale),
    )


def _families_problem(
    objectives: tuple[Objective, ...],
    violations: Callable[[Architecture], Mapping[str, float]],
    limits: Mapping[str, float],
) -> Problem:
    architecture = Domain(
        {
            "family": CategoricalDistribution(list(_FAMILIES)),
            **{f"width_{stage}": IntDistribution(8, 256, log=True) for stage in _STAGES},
            **{f"depth_{stage}": IntDistribution(1, 6) for stage in _STAGES},
            **{
                f"{family}.{name}": distribution
                for family in _FAMILIES
                for name, distribution in {
                    "expansion": IntDistribution(1, 6),
                    "kernel": CategoricalDistribution([3, 5, 7]),
                    "activation": CategoricalDistribution(["relu", "gelu", "hswish"]),
                    "dropout": FloatDistribution(0, 0.5),
                    "skip": CategoricalDistribution([False, True]),
                }.items()
            },
        },
        {
            f"{family}.{name}": Condition("family", (family,))
            for family in _FAMILIES
            for name in ("expansion", "kernel", "activation", "dropout", "skip")
        },
    )
    return Problem(
        space="families",
        draws=False,
        architecture=architecture,
        distillation=_teaching(),
        objectives=objectives,
        violations=violations,
        rungs=(EPOCHS,),
        figures=_figures_of_families,
        limits=limits,
    )


def _teaching() -> Domain:
    """Settings of the distillation."""
    return Domain(
        {
            "kd.temperature": FloatDistribution(1, 20, log=True),
            "kd.weight": FloatDistribution(0, 1),
            "feature": CategoricalDistribution(["none", "hint", "attention"]),
            "feature.weight": FloatDistribution(0.01, 10, log=True),
        },
        {"feature.weight": Condition("feature", ("hint", "attention"))},
    )


def _figures_of_families(architecture: Architecture) -> Mapping[str, float]:
    choices = architecture.choices
    expansion = choices[f"{choices['family']}.expansion"]
    sizes = [choices[f"width_{i}"] ** 2 * choices[f"depth_{i}"] * expansion for i in _STAGES]
    return {"parameters": float(sum(sizes))}


def _capacity(architecture: Architecture) -> float:
    """Points of accuracy that widths, depths, expansion and family bring."""
    choices = architecture.choices
    family = choices["family"]
    stages = (
        _stage_gain(stage, choices[f"width_{stage}"], choices[f"depth_{stage}"])
        for stage in _STAGES
    )
    return sum(stages) + math.log2(choices[f"{family}.expansion"]) + _FAMILIES[family]


def _stage_gain(stage: int, width: float, depth: float) -> float:
    return (0.5 + 0.5 * stage) * math.log2(width / 8) + (1.5 - 0.5 * stage) * math.log2(depth)


def _best_capacity(limit: float) -> float:
    """The most that an architecture within the limit can have."""
    best = -math.inf
    for expansion in range(1, 7):
        sums = np.zeros((1, 2))  # rows of (size, loss), none dominated by another
        for stage in _STAGES:
            shapes = np.array(
                [
                    (width * width * depth * expansion, -_stage_gain(stage, width, depth))
                    for width in range(8, 257)
                    for depth in range(1, 7)
                    if width * width * depth * expansion <= limit
                ]
            ).reshape(-1, 2)
            sums = (sums[:, None] + shapes[None]).reshape(-1, 2)
            sums = sums[sums[:, 0] <= limit]
            sums = sums[is_non_dominated(sums)] if len(sums) else sums
        if len(sums):
            best = max(best, math.log2(expansion) - sums[:, 1].min())
    return best + max(_FAMILIES.values())


def _distance(candidate: Candidate, without: str = "") -> float:
    """Points of accuracy lost to what is not at its best."""
    choices, taught = candidate.architecture.choices, candidate.distillation
    family = str(choices["family"])
    temperature = math.log(float(taught["kd.temperature"]) / 4)
    feature = str(taught["feature"])
    losses = {
        "kernel": 1.0 * abs(int(choices[f"{family}.kernel"]) - _KERNELS[family]) / 2,
        "activation": 1.0 * (choices[f"{family}.activation"] != _ACTIVATIONS[family]),
        "dropout": 30 * (float(choices[f"{family}.dropout"]) - _DROPOUTS[family]) ** 2,
        "skip": 2.0 * (choices[f"{family}.skip"] is not True),
        "kd.temperature": temperature**2,
        "kd.weight": 4 * (float(taught["kd.weight"]) - 0.7) ** 2,
        "feature": {"none": 1.0, "hint": 0.4, "attention": 0.0}[feature],
        "feature.weight": 0.0
        if feature == "none"
        else 0.3 * math.log10(float(taught["feature.weight"])) ** 2,
    }
    return sum(loss for name, loss in losses.items() if name != without)


_CHAIN = range(5)
_KERNELS_OF_STAGES = (3, 3, 5, 7, 5)
_TWO_IN_THOUSAND = 7_800
"""Limit of the parameters that some two in a thousand uniform points are within."""

_BEST_WIDTHS = (12, 15, 18, 18, 18)
_BEST_DEPTHS = (2, 2, 2, 2, 1)
"""With the smallest kernels, all excited; exact, by dynamic programming from stage to stage."""


def staged() -> Benchmark:
    """A chain of five stages: 24 parameters, 2 points in 1,000 within the budget, noise of 0.1.

    Unlike in `conditional` all stages always exist, more of a part brings less and less, parts
    depend on each other (a width on the one before it, a kernel on the width, the best temperature
    on the weight), and multiply-accumulates are known that nothing limits.
    """
    architecture = Domain(
        {
            name: distribution
            for stage in _CHAIN
            for name, distribution in {
                f"width_{stage}": IntDistribution(8, 128, log=True),
                f"depth_{stage}": IntDistribution(1, 4),
                f"kernel_{stage}": CategoricalDistribution([3, 5, 7]),
                f"excite_{stage}": CategoricalDistribution([False, True]),
            }.items()
        }
    )

    def truth(candidate: Candidate) -> Mapping[str, float]:
        figures = _figures_of_stages(candidate.architecture)
        lost = _lost_by_stages(candidate.architecture) + _lost_by_teaching(candidate.distillation)
        return {**figures, "accuracy": 80 - 3 * lost}

    def observe(candidate: Candidate, rng: np.random.Generator) -> Mapping[str, float]:
        known = truth(candidate)
        return {**known, "accuracy": known["accuracy"] + 0.1 * rng.standard_normal()}

    best = truth(_best_of_stages())["accuracy"]
    return Benchmark(
        name="staged",
        problem=Problem(
            space="stages",
            draws=False,
            architecture=architecture,
            distillation=_teaching(),
            objectives=(ACCURACY,),
            violations=within_parameters(_figures_of_stages, _TWO_IN_THOUSAND),
            rungs=(EPOCHS,),
            figures=_figures_of_stages,
            limits={"parameters": _TWO_IN_THOUSAND},
        ),
        truth=truth,
        observe=observe,
        best=best,
        target=best - 0.5,
    )


def _best_of_stages() -> Candidate:
    choices: dict[str, Choice] = {}
    for stage, width, depth in zip(_CHAIN, _BEST_WIDTHS, _BEST_DEPTHS, strict=True):
        choices |= {f"width_{stage}": width, f"depth_{stage}": depth}
        choices |= {f"kernel_{stage}": 3, f"excite_{stage}": True}
    taught = {"kd.weight": 0.6, "kd.temperature": 4.2, "feature": "attention", "feature.weight": 3}
    return Candidate(Architecture("stages", choices, 0), taught)


def _figures_of_stages(architecture: Architecture) -> Mapping[str, float]:
    choices = architecture.choices
    sizes, before = [], 8
    for stage in _CHAIN:
        width, kernel = choices[f"width_{stage}"], choices[f"kernel_{stage}"]
        per_layer = width * (2 * width + kernel**2 + 0.25 * width * choices[f"excite_{stage}"])
        sizes.append(choices[f"depth_{stage}"] * per_layer + before * width)
        before = width
    macs = sum(size * 1024 / 4**stage for stage, size in enumerate(sizes))
    return {"parameters": float(sum(sizes)), "macs": macs}


def _lost_by_stages(architecture: Architecture) -> float:
    choices = architecture.choices
    by_width, by_depth = (1.0, 1.5, 2.5, 2.0, 1.2), (0.8, 1.2, 2.0, 1.5, 0.7)
    lost = 0.0
    for stage in _CHAIN:
        width = choices[f"width_{stage}"]
        wrong = abs(choices[f"kernel_{stage}"] - _KERNELS_OF_STAGES[stage]) / 2
        lost += by_width[stage] * (width / 16) ** -0.8
        lost += by_depth[stage] * choices[f"depth_{stage}"] ** -0.7
        lost += (0.25 if width > 24 else 0.125) * wrong
        lost -= 0.1 * (stage + 1) * choices[f"excite_{stage}"]
        if stage:
            lost += 0.8 * max(math.log2(choices[f"width_{stage - 1}"] / width), 0)
    return lost


def _lost_by_teaching(taught: Mapping[str, Any]) -> float:
    weight, feature = taught["kd.weight"], taught["feature"]
    lost = 0.5 * math.log(taught["kd.temperature"] / (3 + 2 * weight)) ** 2
    lost += 3 * (weight - 0.6) ** 2 + {"none": 0.6, "hint": 0.2, "attention": 0.0}[feature]
    if feature != "none":
        best = 0.3 if feature == "hint" else 3
        lost += 0.3 * math.log10(taught["feature.weight"] / best) ** 2
    return lost
