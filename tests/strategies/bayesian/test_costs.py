from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from autokd.seeding import rng_for
from autokd.space import Domain
from autokd.strategies import BayesianSearch, Candidate
from autokd.strategies.bayesian.costs import PredictedCosts
from autokd.strategies.bayesian.pool import Pool

LAYERS = Domain({f"x{i}": IntDistribution(0, 9) for i in range(6)})


def size(architecture):
    """Exact, and not a sum."""
    return 1.0 + sum(architecture.choices.values()) ** 2


@pytest.fixture
def problem(make_problem):
    """Of a million points some 500 are within the budget; the best have as much as it allows."""
    limit = 145.0
    return make_problem(
        limit,
        size,
        architecture=LAYERS,
        distillation=Domain({}),
        objectives=make_problem().objectives[:1],
        rungs=(1,),
        figures=lambda architecture: {"parameters": size(architecture)},
        limits={"parameters": limit},
        affordable=8,
    )


def pool_of(problem, n, seed):
    rng = np.random.default_rng(seed)
    points = problem.domain.sample(rng, n)
    return Pool.of(problem, [problem.candidate(point, rng) for point in points])


def test_costs_are_predicted_with_a_deviation_that_tells_how_well(problem):
    costs = PredictedCosts(problem, pool_of(problem, 40, seed=0))
    asked = pool_of(problem, 300, seed=1)
    means, deviations = costs.predict(asked)
    wrong = np.abs(means - asked.logs)
    assert np.median(wrong) < 0.1 < np.median(np.abs(asked.logs - asked.logs.mean()))
    assert 0.6 < np.mean(wrong < 2 * deviations)
    assert np.median(deviations) < asked.logs.std() / 2


def test_the_chance_to_be_within_is_that_of_the_limit_that_is_least_likely_kept(problem):
    def figures(architecture):
        return {"parameters": size(architecture), "macs": 3 * size(architecture)}

    both = dataclasses.replace(problem, figures=figures, limits={"parameters": 1e9, "macs": 900.0})
    costs = PredictedCosts(both, pool_of(both, 200, seed=0))
    asked = pool_of(both, 300, seed=1)
    priced, log_chances = costs.priced(Pool.unpriced(both, asked.candidates))
    assert np.allclose(np.log(priced.figures), costs.predict(asked)[0])
    macs = asked.figures[:, asked.names.index("macs")]
    assert np.exp(log_chances[macs < 700]).min() > 0.9
    assert np.exp(log_chances[macs > 1200]).max() < 0.1


def test_what_was_asked_is_known(problem):
    costs = PredictedCosts(problem, pool_of(problem, 10, seed=0))
    asked = pool_of(problem, 5, seed=1)
    before, after = costs.predict(asked), costs.given(asked).predict(asked)
    assert np.abs(after[0] - asked.logs).max() < np.abs(before[0] - asked.logs).max() / 3
    assert (after[1] < before[1]).all()


def test_what_an_architecture_costs_is_known_exactly_however_it_is_taught(problem):
    teaching = Domain({"weight": FloatDistribution(0, 1)})
    problem = dataclasses.replace(problem, distillation=teaching)
    asked = pool_of(problem, 60, seed=1)
    rng = np.random.default_rng(2)
    others = [Candidate(one.architecture, teaching.sample(rng)[0]) for one in asked.candidates]
    costs = PredictedCosts(problem, pool_of(problem, 40, seed=0)).given(asked)
    means, deviations = costs.predict(Pool.unpriced(problem, others))
    assert np.abs(means - asked.logs).max() < 0.01
    assert deviations.max() < 0.01


def test_two_draws_of_one_generator_need_not_cost_the_same(problem):
    problem = dataclasses.replace(problem, draws=True)
    pool = pool_of(problem, 40, seed=0)
    luck = np.random.default_rng(1).lognormal(0, 0.3, pool.figures.shape)
    again = dataclasses.replace(pool, figures=pool.figures * luck)
    _, deviations = PredictedCosts(problem, pool.join(again)).predict(pool)
    assert deviations.min() > 0.1


def test_what_is_asked_is_expected_to_be_within_the_limits(problem, make_trial):
    asked = []

    def figures(architecture):
        asked.append(architecture.key)
        return problem.figures(architecture)

    strategy = BayesianSearch(dataclasses.replace(problem, figures=figures))
    trials = []
    for number in range(20):
        known = set(asked)
        suggestion = strategy.suggest(trials, rng_for(0, number, "suggest"))
        accuracy = -sum(abs(value - 7) for value in suggestion.architecture.choices.values())
        trials.append(make_trial(number, suggestion, accuracies=[accuracy]))
        assert len(set(asked) - known) <= (8 if number > 4 else 13 * 8)
    sums = [sum(trial.architecture.choices.values()) for trial in trials]
    assert max(sums) <= 12 and sums[10:].count(12) >= 5
