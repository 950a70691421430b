from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from autokd.seeding import rng_for
from autokd.space import Condition, Domain
from autokd.strategies import BayesianSearch, RandomSearch
from autokd.strategies.bayesian.earlier import EarlierStudy, trust
from autokd.strategies.bayesian.pool import Pool

DOMAIN = Domain(
    {
        "op": CategoricalDistribution(["conv", "pool"]),
        "kernel": IntDistribution(1, 9),
        "width": IntDistribution(1, 20),
        "depth": IntDistribution(1, 20),
    },
    {"kernel": Condition("op", ("conv",))},
)


@pytest.fixture
def problem(make_problem):
    return make_problem(
        architecture=DOMAIN,
        distillation=Domain({}),
        objectives=make_problem().objectives[:1],
        size=lambda architecture: architecture.choices["width"],
        figures=lambda architecture: {"parameters": float(architecture.choices["width"])},
        rungs=(1,),
        limit=15,
    )


def accuracy(trial):
    choices = trial.architecture.choices
    return -abs(choices["width"] - 12) - abs(choices["depth"] - 5) - (choices["op"] == "pool")


@pytest.fixture
def played(make_trial):
    def play(strategy, n, truth=accuracy, seed=0):
        trials = []
        for number in range(n):
            suggestion = strategy.suggest(trials, rng_for(seed, number, "suggest"))
            trials.append(
                make_trial(
                    number,
                    suggestion,
                    accuracies=[truth(suggestion)],
                    size=suggestion.architecture.choices["width"],
                )
            )
        return trials

    return play


def best_of(trials):
    return max(map(accuracy, trials))


def test_a_like_study_saves_evaluations(problem, played):
    earlier = played(RandomSearch(problem), 60, lambda trial: 3 * accuracy(trial) + 50, seed=9)
    warm, cold = (
        [
            best_of(played(BayesianSearch(problem, earlier=records), 8, seed=seed))
            for seed in range(4)
        ]
        for records in ([earlier], [])
    )
    assert np.mean(warm) > np.mean(cold) + 1
    assert min(warm) >= -2


def test_a_study_that_says_the_opposite_does_little_harm(problem, played):
    opposite = played(RandomSearch(problem), 60, lambda trial: -accuracy(trial), seed=9)
    misled, cold = (
        [
            best_of(played(BayesianSearch(problem, earlier=records), 20, seed=seed))
            for seed in range(3)
        ]
        for records in ([opposite], [])
    )
    assert np.mean(misled) >= np.mean(cold) - 1


def test_the_first_proposal_is_the_best_of_before_that_is_within_the_budget(problem, played):
    wide = dataclasses.replace(problem, violations=lambda architecture: {})
    earlier = played(RandomSearch(wide), 40, lambda trial: trial.architecture.choices["width"])
    strategy = BayesianSearch(problem, earlier=[earlier])
    first = strategy.suggest([], np.random.default_rng(0))
    widths = sorted({trial.architecture.choices["width"] for trial in earlier})
    assert first.architecture.choices["width"] == max(width for width in widths if width <= 15)


def test_a_changed_space_is_matched_by_names(problem, played):
    earlier = played(RandomSearch(problem), 40)
    changed = Domain(
        {
            "op": CategoricalDistribution(["attention", "pool"]),
            "width": IntDistribution(6, 40),
            "heads": IntDistribution(1, 4),
        }
    )
    other = dataclasses.replace(problem, architecture=changed)
    study = EarlierStudy(other, ["parameters"], earlier)
    rng = np.random.default_rng(0)
    candidates = [other.candidate(point, rng) for point in other.domain.sample(rng, 200)]
    pool = Pool.of(other, [one for one in candidates if one.architecture.choices["width"] <= 13])
    told = study.predict("accuracy", pool)
    off = [abs(one.architecture.choices["width"] - 12) for one in pool.candidates]
    assert np.corrcoef(told, off)[0, 1] > 0.6
    suggestion = BayesianSearch(other, earlier=[earlier]).suggest([], rng)
    assert set(suggestion.architecture.choices) == {"op", "width", "heads"}


@pytest.mark.parametrize("n", [0, 2])
def test_a_study_that_tells_nothing_is_no_obstacle(n, problem, played):
    earlier = played(RandomSearch(problem), n)
    one, other = (
        played(BayesianSearch(problem, earlier=records), 8) for records in ([earlier], [])
    )
    assert [trial.architecture.key for trial in one] == [trial.architecture.key for trial in other]


def test_trust_follows_the_order_and_not_the_scale():
    told = np.arange(10.0)
    predicted = np.stack([told**3, -told, np.zeros(10)], axis=1)
    assert trust(predicted[:, :1], told) == pytest.approx(1)
    alike, opposite, silent = trust(predicted, told)
    assert alike > 0.9 and opposite == 0 and silent < 0.1
    assert trust(np.stack([told] * 4, axis=1), told) == pytest.approx(0.25)
    assert trust(np.empty((0, 2)), np.empty(0)) == pytest.approx(0.5)
