from __future__ import annotations

import numpy as np
import pytest
from cmaes import CMAwM
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autokd.errors import SpecError
from autokd.seeding import rng_for
from autokd.space import Architecture, Condition, Domain
from autokd.strategies import RandomSearch
from autokd.strategies.cma import CMAES
from autokd.trial import Suggestion, TrialState

CUBE = Domain({name: FloatDistribution(0, 1) for name in "xyz"})


@pytest.fixture
def make_cube(make_problem):
    """A problem of one objective without a budget, by default on the unit cube."""

    def make(domain=CUBE, **fields):
        settings = {"architecture": domain, "distillation": Domain({}), **fields}
        objectives = make_problem().objectives[:1]
        return make_problem(9, lambda architecture: 1, objectives=objectives, **settings)

    return make


@pytest.fixture
def told(monkeypatch):
    """What the distribution was told at the last suggestion: the rows and losses of each step."""
    steps = []
    tell, start = CMAwM.tell, CMAwM.__init__

    def spy(self, solutions):
        steps.append(([row.tolist() for row, _ in solutions], [loss for _, loss in solutions]))
        tell(self, solutions)

    def begin(self, *arguments, **options):
        steps.clear()
        start(self, *arguments, **options)

    monkeypatch.setattr(CMAwM, "tell", spy)
    monkeypatch.setattr(CMAwM, "__init__", begin)
    return steps


def bowl(choices):
    return -sum((choices[name] - 0.8) ** 2 for name in "xyz")


def test_full_populations_are_told_in_the_order_of_their_numbers(make_cube, search, told):
    problem = make_cube()
    strategy = CMAES(problem, population=4)
    trials = search(strategy, 11, bowl)
    strategy.suggest(trials[::-1], np.random.default_rng(0))
    rows = CUBE.encode(trial.architecture.choices for trial in trials)
    assert [step[0] for step in told] == [rows[:4].tolist(), rows[4:8].tolist()]
    assert [step[1] for step in told] == [
        [-bowl(trial.architecture.choices) for trial in part] for part in (trials[:4], trials[4:8])
    ]


def test_what_is_pending_failed_or_unknown_is_not_told(make_cube, make_trial, told):
    problem = make_cube()
    states = [TrialState.COMPLETE] * 3 + [TrialState.RUNNING, TrialState.FAILED]
    accuracies = [(0.1,) * 3, (0.2,) * 3, (float("nan"),) * 3, (), (0.5,) * 3]
    states, accuracies = states * 2, accuracies * 2
    trials = []
    for state, values in zip(states, accuracies, strict=True):
        suggestion = RandomSearch(problem).suggest(trials, rng_for(0, len(trials), "suggest"))
        trials.append(make_trial(len(trials), suggestion, values, state))
    CMAES(problem, population=4).suggest(trials, np.random.default_rng(0))
    assert [losses for _, losses in told] == [[-0.1, -0.2] * 2]


def test_an_inactive_parameter_is_told_as_the_middle_and_a_fixed_one_not_at_all(
    make_cube, make_trial, told
):
    domain = Domain(
        {
            "op": CategoricalDistribution(["a", "b"]),
            "fixed": IntDistribution(3, 3),
            "k": IntDistribution(1, 4),
        },
        {"k": Condition("op", ("b",))},
    )
    problem = make_cube(domain)
    points = [{"op": "a", "fixed": 3}, {"op": "b", "fixed": 3, "k": 1}] * 2
    trials = [
        make_trial(number, Suggestion(Architecture("s", point), {}), (0.5,) * 3)
        for number, point in enumerate(points)
    ]
    CMAES(problem, population=4).suggest(trials, np.random.default_rng(0))
    ((rows, _),) = told
    assert np.allclose(rows, [[0.25, 0.5], [0.75, 0.125]] * 2)


def test_it_closes_in_on_the_best_of_a_bowl(make_cube, search):
    trials = search(CMAES(make_cube()), 120, bowl)
    newest = [bowl(trial.architecture.choices) for trial in trials[-20:]]
    assert np.median(newest) > -0.01


def test_a_category_that_is_better_is_drawn_more_often_but_never_alone(make_cube, search):
    domain = Domain({"op": CategoricalDistribution(list("abcd")), **CUBE.parameters})
    trials = search(CMAES(make_cube(domain)), 140, lambda c: bowl(c) - 0.3 * (c["op"] != "d"))
    newest = [trial.architecture.choices["op"] for trial in trials[-70:]]
    assert 40 < newest.count("d") < 70


@pytest.mark.parametrize("domain", [CUBE, Domain({"x": FloatDistribution(0, 1)})])
@pytest.mark.parametrize("accuracy", [lambda choices: 0.5, lambda choices: choices["x"] * 1e9])
def test_a_distribution_that_shrinks_or_bursts_does_not_stop_the_search(
    make_cube, search, domain, accuracy
):
    trials = search(CMAES(make_cube(domain), population=4, step=1e-5), 100, accuracy)
    assert len({trial.architecture.key for trial in trials}) == 100


def test_a_space_of_draws_of_one_generator_is_searched(make_cube, search):
    problem = make_cube(Domain({"x": IntDistribution(3, 3)}), draws=True)
    trials = search(CMAES(problem), 5, lambda choices: 0.5)
    assert len({trial.architecture.seed for trial in trials}) == 5


def test_several_objectives_are_refused(make_problem):
    with pytest.raises(SpecError, match="expected one objective, got 2: accuracy, parameters"):
        CMAES(make_problem())


@pytest.mark.parametrize("options", [{"population": 3}, {"step": 0}])
def test_a_population_of_three_and_no_step_are_refused(make_cube, options):
    with pytest.raises(ValueError, match="at least 4 and a step above 0"):
        CMAES(make_cube(), **options)
