from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autokd.budget import Cost
from autokd.multiobjective import Objective
from autokd.seeding import rng_for
from autokd.space import Architecture, Choices, Condition, Domain
from autokd.strategies import Problem, Strategy
from autokd.trial import Evaluation, Suggestion, Trial, TrialKind, TrialState

ACCURACY = Objective("accuracy", "maximize")
SIZE = Objective("parameters", "minimize")

NETWORKS = Domain(
    {
        "op": CategoricalDistribution(["conv", "pool"]),
        "width": IntDistribution(1, 32, log=True),
        "kernel": CategoricalDistribution([3, 5]),
        "depth": IntDistribution(1, 9, step=2),
        "dropout": FloatDistribution(0, 0.5),
    },
    {"kernel": Condition("op", ("conv",)), "dropout": Condition("op", ("pool",))},
)
TINY = Domain({"op": CategoricalDistribution(["a", "b", "c"]), "width": IntDistribution(1, 4)})
TEACHING = Domain(
    {"kd.temperature": FloatDistribution(1, 20, log=True), "kd.weight": FloatDistribution(0, 1)}
)


def parameters(architecture: Architecture) -> int:
    choices = architecture.choices
    return choices["width"] ** 2 * choices.get("kernel", 1) ** 2 * choices["depth"]


def accuracy(suggestion: Suggestion) -> float:
    """Best, 1.0, for pooling, width 8, no dropout and an even weight."""
    choices, teaching = suggestion.architecture.choices, suggestion.distillation
    return (
        1.0
        - (0.3 if choices["op"] == "conv" else choices["dropout"])
        - abs(choices["width"] - 8) / 64
        - abs(teaching["kd.weight"] - 0.5)
    )


def within(limit: float, size: Callable[[Architecture], float]) -> Callable[..., Any]:
    """The violations of a budget of one limit."""

    def violations(architecture: Architecture) -> Mapping[str, float]:
        excess = size(architecture) / limit - 1
        return {"parameters": excess} if excess > 0 else {}

    return violations


@pytest.fixture
def make_problem() -> Callable[..., Problem]:
    """Makes a small mixed, conditional problem; arguments replace parts of it."""

    def make(limit: float = 3000, size: Callable[..., float] = parameters, **fields) -> Problem:
        defaults = {
            "space": "s",
            "draws": False,
            "architecture": NETWORKS,
            "distillation": TEACHING,
            "objectives": (ACCURACY, SIZE),
            "violations": within(limit, size),
            "rungs": (1, 3, 9),
        }
        return Problem(**{**defaults, **fields})

    return make


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """Makes the trial of a suggestion; `accuracies` are those at 1, 3, 9, … epochs."""

    def make(
        number: int,
        suggestion: Suggestion | None = None,
        accuracies: Sequence[float] | None = None,
        state: TrialState = TrialState.COMPLETE,
        size: int = 100,
        kind: TrialKind = TrialKind.SEARCH,
    ) -> Trial:
        given = suggestion or Suggestion(Architecture("s", {"n": number}), {})
        reached = (accuracy(given),) * 3 if accuracies is None else accuracies
        return Trial(
            number=number,
            kind=kind,
            candidate=number,
            architecture=given.architecture,
            distillation=given.distillation,
            cost=Cost(size, size, size, size),
            repeat=0,
            state=state,
            epochs=3 ** max(len(reached) - 1, 0),
            evaluations=tuple(
                Evaluation(3**rung, {"accuracy": value}) for rung, value in enumerate(reached)
            ),
            notes=given.notes,
        )

    return make


@pytest.fixture
def search(make_trial: Callable[..., Trial]) -> Callable[..., list[Trial]]:
    """The record of a study, with the accuracy of a point given by a function."""

    def run(
        strategy: Strategy, n: int, accuracy: Callable[[Choices], float], seed: int = 0
    ) -> list[Trial]:
        trials: list[Trial] = []
        while len(trials) < n:
            suggestion = strategy.suggest(trials, rng_for(seed, len(trials), "suggest"))
            value = accuracy(suggestion.architecture.choices)
            trials.append(make_trial(len(trials), suggestion, (value,) * 3))
        return trials

    return run


@pytest.fixture
def make_tiny(make_problem: Callable[..., Problem]) -> Callable[..., Problem]:
    """Makes a problem of twelve networks and no distillation, with a limit of the width."""

    def make(limit: float = 9, **fields: Any) -> Problem:
        settings = {"architecture": TINY, "distillation": Domain({}), **fields}
        return make_problem(limit, lambda architecture: architecture.choices["width"], **settings)

    return make
