from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from autokd.seeding import rng_for
from autokd.space import Architecture, Domain
from autokd.strategies import RandomSearch
from autokd.strategies.evolution import RegularizedEvolution
from autokd.trial import Suggestion, TrialState

GRID = Domain({name: CategoricalDistribution(list(range(6))) for name in ("x", "y")})
ALL = 200
"""So many draws with replacement that every member of a small population is among them."""


@pytest.fixture
def grid(make_problem):
    """A problem on a grid of 6 x 6 points without a budget."""
    return make_problem(9, lambda architecture: 1, architecture=GRID, distillation=Domain({}))


@pytest.fixture
def record(make_trial):
    """The trials at given points with given accuracies."""

    def make(*rows, size=100, state=TrialState.COMPLETE):
        return [
            make_trial(
                number,
                Suggestion(Architecture("s", {"x": x, "y": y}), {}),
                (accuracy,) * 3,
                state,
                size=size,
            )
            for number, (x, y, accuracy) in enumerate(rows)
        ]

    return make


def children(strategy, trials, n=20):
    """The points proposed under different seeds."""
    suggestions = [strategy.suggest(trials, rng_for(seed, 0, "suggest")) for seed in range(n)]
    return [tuple(s.architecture.choices[name] for name in ("x", "y")) for s in suggestions]


def changes(point, parent):
    return sum(a != b for a, b in zip(point, parent, strict=True))


def test_a_child_is_the_best_of_the_youngest_with_one_change(grid, record):
    trials = record((0, 0, 0.99), (5, 5, 0.6), (3, 3, 0.8), (1, 1, 0.7))
    found = children(RegularizedEvolution(grid, population=3, sample=ALL), trials)
    assert {changes(point, (3, 3)) for point in found} == {1}
    assert len(set(found)) > 5


def test_age_is_the_number_and_not_when_a_trial_ended(grid, record):
    trials = record((0, 0, 0.99), (5, 5, 0.6), (3, 3, 0.8), (1, 1, 0.7))
    trials[0] = dataclasses.replace(trials[0], state=TrialState.RUNNING, evaluations=())
    strategy = RegularizedEvolution(grid, population=3, sample=ALL)
    waiting = children(strategy, trials)
    trials[0] = record((0, 0, 0.99))[0]
    assert children(strategy, trials) == waiting


def test_a_small_sample_lets_others_than_the_best_be_parents(grid, record):
    trials = record((0, 0, 0.9), (5, 5, 0.1))
    found = children(RegularizedEvolution(grid, population=2, sample=1), trials, 40)
    parents = [min(((0, 0), (5, 5)), key=lambda p: changes(point, p)) for point in found]
    # A child between the two is taken for one of the first.
    assert 14 < parents.count((0, 0)) < 34


def test_with_several_objectives_rank_comes_first_and_then_room(grid, record):
    rows = [(0, 0, 0.90), (1, 1, 0.70), (2, 2, 0.60), (3, 3, 0.65), (5, 5, 0.50)]
    sizes = [90, 50, 48, 80, 10]
    trials = [
        dataclasses.replace(trial, cost=dataclasses.replace(trial.cost, parameters=size))
        for trial, size in zip(record(*rows), sizes, strict=True)
    ]
    # Only (3, 3) is dominated; the ends of the front have the most room, the younger goes first.
    found = children(RegularizedEvolution(grid, population=5, sample=ALL), trials)
    assert {changes(point, (5, 5)) for point in found} == {1}
    # Without the ends, of which there is but one then: the smaller of two that are left.
    found = children(RegularizedEvolution(grid, population=3, sample=ALL), trials[:4])
    assert {changes(point, (2, 2)) for point in found} == {1}


def test_points_are_uniform_until_there_is_a_population(grid, record):
    trials = record((0, 0, 0.9), (5, 5, 0.1))
    found = children(RegularizedEvolution(grid, population=3, sample=5), trials, 40)
    assert sum(changes(point, (0, 0)) == 2 and changes(point, (5, 5)) == 2 for point in found) > 5
    assert found == [
        tuple(
            RandomSearch(grid)
            .suggest(trials, rng_for(s, 0, "suggest"))
            .architecture.choices.values()
        )
        for s in range(40)
    ]


def test_what_failed_or_is_unknown_is_no_member(grid, record):
    good = record((0, 0, 0.9))
    unknown = record((0, 0, 0.0), (5, 5, float("nan")))[1:]
    running = record(*[(0, 0, 0.0)] * 2, (4, 4, 0.0), state=TrialState.RUNNING)[2:]
    running = [dataclasses.replace(trial, evaluations=()) for trial in running]
    strategy = RegularizedEvolution(grid, population=3, sample=ALL)
    found = children(strategy, good + unknown + running)
    assert {changes(point, (0, 0)) for point in found} == {1}
    failed = record(*[(i, 1, 0.9) for i in range(6)], state=TrialState.FAILED)
    assert children(strategy, failed) == [
        tuple(
            RandomSearch(grid)
            .suggest(failed, rng_for(s, 0, "suggest"))
            .architecture.choices.values()
        )
        for s in range(20)
    ]


def test_when_all_neighbours_are_known_the_search_goes_further(grid, record):
    cross = [(0, i, 0.5) for i in range(1, 6)] + [(i, 0, 0.5) for i in range(1, 6)]
    trials = record(*cross, (0, 0, 0.9))
    found = children(RegularizedEvolution(grid, population=11, sample=ALL), trials)
    assert {changes(point, (0, 0)) for point in found} == {2}


def test_it_finds_better_students_than_chance(make_problem, make_trial):
    problem = make_problem(objectives=make_problem().objectives[:1])

    def best(strategy, seed):
        trials = []
        for number in range(50):
            suggestion = strategy.suggest(trials, rng_for(seed, number, "suggest"))
            trials.append(make_trial(number, suggestion))
        return max(trial.figures["accuracy"] for trial in trials)

    evolved = [best(RegularizedEvolution(problem), seed) for seed in range(5)]
    chance = [best(RandomSearch(problem), seed) for seed in range(5)]
    assert np.median(evolved) > np.median(chance)


@pytest.mark.parametrize("sizes", [{"population": 0}, {"sample": 0}])
def test_a_population_or_sample_of_none_is_refused(grid, sizes):
    with pytest.raises(ValueError, match="at least 1"):
        RegularizedEvolution(grid, **sizes)
