"""What every strategy promises, whatever it is made of."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from autokd.errors import NothingFeasibleError
from autokd.seeding import rng_for
from autokd.space import Architecture, Condition, Domain
from autokd.strategies import BayesianSearch, OptunaSearch, RandomSearch, SpaceExhausted
from autokd.strategies.bohb import BOHBSearch
from autokd.strategies.cma import CMAES
from autokd.strategies.evolution import RegularizedEvolution
from autokd.strategies.trade import TRADE
from autokd.trial import Failure, FailureClass, Suggestion, TrialKind, TrialState


def one_objective(problem):
    """For strategies that cannot do more."""
    return dataclasses.replace(problem, objectives=problem.objectives[:1])


def few_costs(problem):
    """Two figures, of which one is the same everywhere; they are limited."""

    def figures(architecture):
        return {"bytes": 4.0 + architecture.choices.get("width", 1), "latency_ms": 2.0}

    limits = {"bytes": 40.0, "latency_ms": 2.0, "macs": 9.0}
    return dataclasses.replace(problem, affordable=4, figures=figures, limits=limits)


STRATEGIES = {
    "random": RandomSearch,
    "autokd": BOHBSearch,
    "tpe": lambda problem: OptunaSearch(problem, "tpe"),
    "nsga2": lambda problem: OptunaSearch(problem, "nsga2", {"population_size": 6}),
    "qmc": lambda problem: OptunaSearch(problem, "QMCSampler"),
    "nsga3": lambda problem: OptunaSearch(problem, "nsga3", {"population_size": 6}),
    "regularized_evolution": lambda problem: RegularizedEvolution(problem, population=6, sample=3),
    "cmaes": lambda problem: CMAES(one_objective(problem)),
    "bayesian": BayesianSearch,
    "bayesian that asks few costs": lambda problem: BayesianSearch(few_costs(problem)),
    "trade": TRADE,
    "trade that asks few costs": lambda problem: TRADE(few_costs(problem)),
    "trade by drawn functions": lambda problem: TRADE(problem, acquisition="thompson"),
}
TINY = Domain({"op": CategoricalDistribution(["a", "b", "c"]), "width": IntDistribution(1, 4)})


@pytest.fixture(params=STRATEGIES)
def make_strategy(request):
    return STRATEGIES[request.param]


@pytest.fixture
def search(make_trial):
    """Runs a study of `n` trials, one after the other, and gives its record."""

    def run(make_strategy, problem, n, trials=(), state=TrialState.COMPLETE, seed=0, **fields):
        trials = list(trials)
        strategy = make_strategy(problem)
        while len(trials) < n:
            suggestion = strategy.suggest(trials, rng_for(seed, len(trials), "suggest"))
            size = 10 * suggestion.architecture.choices.get("width", 1)
            trials.append(make_trial(len(trials), suggestion, state=state, size=size, **fields))
        return trials

    return run


def candidates(trials):
    return [(trial.architecture.key, dict(trial.distillation)) for trial in trials]


def test_proposals_are_canonical_points_within_the_budget(make_strategy, make_problem, search):
    problem = make_problem(limit=1000)
    for trial in search(make_strategy, problem, 30):
        choices, teaching = trial.architecture.choices, trial.distillation
        assert trial.architecture.space == "s" and trial.architecture.seed == 0
        assert problem.architecture.canonical(choices) == choices
        assert problem.distillation.canonical(teaching) == teaching
        assert not problem.violations(trial.architecture)


def test_a_small_space_is_proposed_without_repeats_until_it_is_exhausted(
    make_strategy, make_problem, search
):
    def size(architecture):
        return architecture.choices["width"]

    problem = make_problem(3, size, architecture=TINY, distillation=Domain({}))
    trials = search(make_strategy, problem, 9, accuracies=(0.5, 0.5, 0.5))
    assert len({trial.architecture.key for trial in trials}) == 9
    with pytest.raises(SpaceExhausted):
        make_strategy(problem).suggest(trials, np.random.default_rng(0))


def test_what_is_still_running_is_not_proposed_again(make_strategy, make_problem, search):
    problem = make_problem(9, lambda architecture: 1, architecture=TINY, distillation=Domain({}))
    for state in (TrialState.QUEUED, TrialState.RUNNING, TrialState.FAILED):
        trials = search(make_strategy, problem, 12, state=state, accuracies=())
        assert len({trial.architecture.key for trial in trials}) == 12


def test_draws_of_one_generator_are_told_apart_by_their_seed(make_strategy, make_problem, search):
    problem = make_problem(
        9, lambda architecture: 1, architecture=TINY, distillation=Domain({}), draws=True
    )
    trials = search(make_strategy, problem, 20, accuracies=(0.5, 0.5, 0.5))
    assert len({trial.architecture.key for trial in trials}) == 20
    assert len({tuple(trial.architecture.choices.items()) for trial in trials[:12]}) == 12


def test_the_same_seed_gives_the_same_proposals(make_strategy, make_problem, search):
    problem = make_problem()
    one, two = (search(make_strategy, problem, 14) for _ in range(2))
    other = search(make_strategy, problem, 4, seed=1)
    assert candidates(one) == candidates(two)
    assert candidates(one)[:4] != candidates(other)


def test_the_order_of_the_record_does_not_matter(make_strategy, make_problem, search):
    problem = make_problem()
    trials = search(make_strategy, problem, 16)
    forth, back = (
        make_strategy(problem).suggest(record, np.random.default_rng(5))
        for record in (trials, trials[::-1])
    )
    assert forth == back


def test_only_search_trials_count(make_strategy, make_problem, search):
    problem = make_problem()
    trials = search(make_strategy, problem, 12)
    final = [
        dataclasses.replace(trial, number=100 + trial.number, kind=kind)
        for trial in trials
        for kind in (TrialKind.FINAL, TrialKind.BASELINE)
    ]
    one, two = (
        make_strategy(problem).suggest(record, np.random.default_rng(5))
        for record in (trials, [*final, *trials])
    )
    assert one == two


def test_a_study_that_is_resumed_from_its_record_goes_on_the_same(
    make_strategy, make_problem, search
):
    problem = make_problem()
    whole = search(make_strategy, problem, 20)
    resumed = []
    for n in (7, 13, 20):
        # Through JSON, as the store does it.
        resumed = [
            dataclasses.replace(
                trial,
                architecture=Architecture.from_json(
                    json.loads(json.dumps(trial.architecture.to_json()))
                ),
                notes=json.loads(json.dumps(trial.notes)),
            )
            for trial in search(make_strategy, problem, n, trials=resumed)
        ]
    assert resumed == whole


def test_a_budget_that_hardly_anything_fits_is_still_met(make_strategy, make_problem):
    # Of 20 ** 10 networks, a share of about 1e-6 has widths that sum to 40.
    widths = Domain({f"width_{i}": IntDistribution(1, 20) for i in range(10)})
    problem = make_problem(
        40, lambda architecture: sum(architecture.choices.values()), architecture=widths
    )
    for seed in range(3):
        suggestion = make_strategy(problem).suggest([], np.random.default_rng(seed))
        assert sum(suggestion.architecture.choices.values()) <= 40


def test_if_nothing_fits_the_budget_the_nearest_is_named(make_strategy, make_problem):
    problem = make_problem(
        0.5, lambda architecture: architecture.choices["width"], architecture=TINY
    )
    with pytest.raises(NothingFeasibleError, match="12 that were tried.* 2x the limit of para"):
        make_strategy(problem).suggest([], np.random.default_rng(0))


def test_a_proposal_can_be_stored_as_json(make_strategy, make_problem, search):
    problem = make_problem(objectives=make_problem().objectives[:1])
    for trial in search(make_strategy, problem, 14):
        json.dumps([trial.architecture.to_json(), dict(trial.distillation), trial.notes])


def test_a_single_feasible_point_is_proposed_once(make_strategy, make_problem, make_trial):
    domain = Domain({f"width_{i}": IntDistribution(1, 9) for i in range(4)})
    problem = make_problem(
        4,
        lambda architecture: sum(architecture.choices.values()),
        architecture=domain,
        distillation=Domain({}),
    )
    strategy = make_strategy(problem)
    first = strategy.suggest([], np.random.default_rng(0))
    assert set(first.architecture.choices.values()) == {1}
    with pytest.raises(SpaceExhausted):
        strategy.suggest([make_trial(0, first, [0.5])], np.random.default_rng(1))


def test_where_nothing_varies_there_is_one_proposal(make_strategy, make_problem, make_trial):
    problem = make_problem(
        10, lambda architecture: 1, architecture=Domain({}), distillation=Domain({})
    )
    strategy = make_strategy(problem)
    only = strategy.suggest([], np.random.default_rng(0))
    assert only.architecture.choices == {}
    with pytest.raises(SpaceExhausted):
        strategy.suggest([make_trial(0, only, [0.5])], np.random.default_rng(1))


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), float("-inf")])
def test_metrics_that_are_constant_or_no_numbers_do_not_stop_it(
    make_strategy, make_problem, search, value
):
    trials = search(make_strategy, make_problem(), 14, accuracies=(value,) * 3)
    assert len({str(candidate) for candidate in candidates(trials)}) == 14


def test_values_whose_squares_are_no_numbers_do_not_stop_it(
    make_strategy, make_problem, make_trial, search
):
    problem = make_problem()
    trials = search(RandomSearch, problem, 14)
    huge = [
        make_trial(
            trial.number,
            Suggestion(trial.architecture, trial.distillation),
            accuracies=[(-1) ** trial.number * 1e308] * 3,
        )
        for trial in trials
    ]
    suggestion = make_strategy(problem).suggest(huge, np.random.default_rng(0))
    trials.append(make_trial(14, suggestion))
    assert len({str(candidate) for candidate in candidates(trials)}) == 15


def test_five_hundred_failed_trials_do_not_stop_it(make_strategy, make_problem, make_trial):
    problem = make_problem()
    rng = np.random.default_rng(0)
    trials = []
    for number, point in enumerate(problem.domain.sample(rng, 500)):
        candidate = problem.candidate(point, rng)
        suggestion = Suggestion(candidate.architecture, candidate.distillation)
        trial = make_trial(number, suggestion, accuracies=(), state=TrialState.FAILED)
        failure = Failure(FailureClass.NAN, "the loss is NaN")
        trials.append(dataclasses.replace(trial, failure=failure))
    suggestion = make_strategy(problem).suggest(trials, rng)
    assert not problem.violations(suggestion.architecture)


def test_parameters_of_one_value_and_conditions_that_never_hold_do_not_stop_it(
    make_strategy, make_problem, search
):
    domain = Domain(
        {
            "op": CategoricalDistribution(["conv"]),
            "width": IntDistribution(3, 3),
            "depth": IntDistribution(1, 30),
            "never": CategoricalDistribution(["a", "b"]),
        },
        {"never": Condition("op", ("pool",))},
    )
    problem = make_problem(
        100, lambda architecture: architecture.choices["depth"], architecture=domain
    )
    for trial in search(make_strategy, problem, 14):
        assert "never" not in trial.architecture.choices
