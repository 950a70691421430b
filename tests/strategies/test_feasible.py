"""What is within the budget is found, also where hardly anything is, and the search for it ends."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from autokd.errors import NothingFeasibleError
from autokd.space import Architecture, Domain
from autokd.strategies.feasible import CandidateFinder
from autokd.trial import Suggestion

DIGITS = Domain({f"x{i}": IntDistribution(0, 9) for i in range(10)})
FEW = ("x0", "x1", "x2", "x3", "x4")
"""One point in 100,000 has 3 in all of them."""


def flat(architecture: Architecture) -> Mapping[str, float]:
    """Says that a limit is exceeded, and not which way leads back."""
    return {} if all(architecture.choices[name] == 3 for name in FEW) else {"size": 1.0}


@pytest.mark.parametrize("seed", range(5))
def test_one_candidate_within_the_budget_leads_to_others(make_problem, make_trial, seed):
    problem = make_problem(architecture=DIGITS, distillation=Domain({}), violations=flat)
    known = Suggestion(Architecture("s", dict.fromkeys(DIGITS.parameters, 3)), {})
    trials = [make_trial(0, known, (0.5,))]
    rng = np.random.default_rng(seed)
    for number in range(1, 6):
        found = CandidateFinder(problem, trials, rng).find()
        assert not flat(found.architecture)
        trials.append(make_trial(number, Suggestion(found.architecture, {}), (0.5,)))
    assert len({trial.architecture.key for trial in trials}) == 6


def test_few_are_asked_for_their_cost_where_that_is_dear(make_problem):
    asked = []

    def dear(architecture: Architecture) -> Mapping[str, float]:
        asked.append(architecture)
        return {"size": 1.0}

    settings = {"architecture": DIGITS, "distillation": Domain({}), "violations": dear}
    for affordable, most in ((16, 1000), (20_000, 20_000)):
        asked.clear()
        problem = make_problem(affordable=affordable, **settings)
        with pytest.raises(NothingFeasibleError, match="that were tried; the nearest has 2x"):
            CandidateFinder(problem, [], np.random.default_rng(0)).find()
        assert 320 <= len(asked) <= most
    assert len(asked) > 3000


@pytest.mark.parametrize(
    ("distribution", "limit", "affordable"),
    [
        (IntDistribution(1, 9), 4, 4),
        (FloatDistribution(1, 9), 5, 4),
        (FloatDistribution(1, 9), 5, 16),
    ],
)
def test_one_in_100000_is_found_where_costs_are_dear(make_problem, distribution, limit, affordable):
    problem = make_problem(
        limit,
        lambda architecture: sum(architecture.choices.values()),
        architecture=Domain({f"width_{i}": distribution for i in range(4)}),
        affordable=affordable,
    )
    for seed in range(20):
        found = CandidateFinder(problem, [], np.random.default_rng(seed)).find()
        assert sum(found.architecture.choices.values()) <= limit


@pytest.mark.parametrize("seed", range(5))
def test_a_narrow_range_of_numbers_is_walked_into(make_problem, seed):
    # One point in 25,000 is within both limits.
    middles = {"x0": (0.5, 0.002), "x1": (0.3, 0.005)}

    def violations(architecture: Architecture) -> Mapping[str, float]:
        excess = {
            name: abs(architecture.choices[name] - middle) / width - 1
            for name, (middle, width) in middles.items()
        }
        return {name: value for name, value in excess.items() if value > 0}

    problem = make_problem(
        architecture=Domain({f"x{i}": FloatDistribution(0, 1) for i in range(10)}),
        distillation=Domain({}),
        violations=violations,
    )
    found = CandidateFinder(problem, [], np.random.default_rng(seed)).find()
    assert not violations(found.architecture)
