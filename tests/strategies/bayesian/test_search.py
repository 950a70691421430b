from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autokd.multiobjective import Objective
from autokd.seeding import rng_for
from autokd.space import Architecture, Condition, Domain
from autokd.strategies import BayesianSearch, RandomSearch, SpaceExhausted
from autokd.strategies.bayesian.pool import all_points, surroundings
from autokd.trial import GAIN, Evaluation, Failure, FailureClass, Suggestion, TrialState

WIDE = Domain({f"x{i}": IntDistribution(0, 9) for i in range(6)}, {})


def searched(strategy, n, make_trial, loss, seed=0):
    trials = []
    for number in range(n):
        suggestion = strategy.suggest(trials, rng_for(seed, number, "suggest"))
        trials.append(make_trial(number, suggestion, accuracies=[-loss(suggestion)]))
    return trials


def distance(suggestion):
    return sum(abs(value - 7) for value in suggestion.architecture.choices.values())


def best(trials):
    return min(distance(trial) for trial in trials)


@pytest.fixture
def wide(make_problem):
    objectives = make_problem().objectives[:1]
    return make_problem(
        limit=36,
        size=lambda architecture: sum(architecture.choices.values()),
        architecture=WIDE,
        distillation=Domain({}),
        objectives=objectives,
        rungs=(1,),
    )


def test_it_comes_nearer_to_the_best_within_the_budget_than_random_search(wide, make_trial):
    ours, random = (
        [best(searched(make(wide), 30, make_trial, distance, seed)) for seed in range(3)]
        for make in (BayesianSearch, RandomSearch)
    )
    assert np.mean(ours) < np.mean(random) - 2
    assert min(ours) == 6  # 36 of 42: at the budget's very edge


def test_few_affordable_costs_are_enough(wide, make_trial):
    asked = []

    def figures(architecture):
        asked.append(architecture.key)
        return {"parameters": 1 + sum(architecture.choices.values())}

    problem = dataclasses.replace(wide, figures=figures, limits={"parameters": 37}, affordable=10)
    strategy = BayesianSearch(problem)
    trials = searched(strategy, 30, make_trial, distance)
    other = searched(strategy, 30, make_trial, distance, seed=1)
    assert np.mean([best(trials), best(other)]) <= 12
    asked.clear()
    strategy.suggest(trials, np.random.default_rng(0))
    assert len(set(asked) - {trial.architecture.key for trial in trials}) <= 10


def test_guesses_that_are_all_over_budget_lead_to_one_within_it(wide, make_trial):
    def size(architecture):
        return sum(architecture.choices.values())

    problem = dataclasses.replace(
        wide,
        violations=lambda architecture: (
            {"size": size(architecture)} if size(architecture) > 8 else {}
        ),
        figures=lambda architecture: {"parameters": 1.0 + size(architecture)},
        affordable=2,
    )
    trials = searched(BayesianSearch(problem), 16, make_trial, distance)
    assert all(size(trial.architecture) <= 8 for trial in trials)
    assert all(GAIN in trial.notes for trial in trials[4:])  # no blind ones among them


def test_what_the_budget_limits_is_no_input_unless_it_is_an_objective(wide, make_trial):
    trials = searched(RandomSearch(wide), 12, make_trial, distance)
    told = dataclasses.replace(
        wide, figures=lambda architecture: {"parameters": 1.0 + sum(architecture.choices.values())}
    )

    def proposed(problem, **limits):
        strategy = BayesianSearch(dataclasses.replace(problem, limits=limits))
        return strategy.suggest(trials, np.random.default_rng(0)).architecture

    assert proposed(told, parameters=math.inf) == proposed(wide) != proposed(told)
    objectives = (*wide.objectives, Objective("parameters", "minimize"))
    both = dataclasses.replace(told, objectives=objectives)
    assert proposed(both, parameters=math.inf) == proposed(both)


def test_what_still_runs_is_kept_away_from(wide, make_trial):
    trials = searched(BayesianSearch(wide), 12, make_trial, distance)
    proposed = []
    for number in range(12, 18):
        strategy = BayesianSearch(wide)
        suggestion = strategy.suggest(trials, np.random.default_rng(0))
        proposed.append(suggestion.architecture.key)
        trials.append(make_trial(number, suggestion, accuracies=[], state=TrialState.RUNNING))
    assert len(set(proposed)) == 6


@pytest.mark.parametrize(
    ("ended", "others", "modelled"),
    [(1, TrialState.RUNNING, False), (2, TrialState.RUNNING, True), (2, TrialState.FAILED, False)],
)
def test_it_does_not_wait_for_initial_candidates_that_run(
    wide, make_trial, ended, others, modelled
):
    trials = [
        trial if trial.number < ended else dataclasses.replace(trial, state=others, evaluations=())
        for trial in searched(BayesianSearch(wide), 4, make_trial, distance)
    ]
    suggestion = BayesianSearch(wide, initial=4).suggest(trials, np.random.default_rng(0))
    assert (GAIN in suggestion.notes) == modelled


def test_what_fails_again_and_again_is_kept_away_from(wide, make_trial):
    def fate(number, suggestion):
        if suggestion.architecture.choices["x0"] < 5:
            return make_trial(number, suggestion, accuracies=[-distance(suggestion)])
        trial = make_trial(number, suggestion, accuracies=[], state=TrialState.FAILED)
        return dataclasses.replace(trial, failure=Failure(FailureClass.NAN, "loss is NaN"))

    trials = []
    for number in range(40):
        suggestion = BayesianSearch(wide).suggest(trials, rng_for(1, number, "suggest"))
        trials.append(fate(number, suggestion))
    failed = [trial.state is TrialState.FAILED for trial in trials]
    assert sum(failed[:20]) >= 3
    assert sum(failed[-15:]) <= 3


def test_what_is_sure_to_fail_is_not_tried_when_the_best_is_known(make_problem, make_trial):
    problem = make_problem(
        architecture=Domain(
            {
                "kind": CategoricalDistribution(["a", "b", "c", "fails"]),
                "x": FloatDistribution(0, 1),
                "y": FloatDistribution(0, 1),
            }
        ),
        distillation=Domain({}),
        objectives=make_problem().objectives[:1],
        size=lambda architecture: 1,
        rungs=(1,),
    )
    trials = []
    for number in range(40):
        suggestion = BayesianSearch(problem).suggest(trials, rng_for(1, number, "suggest"))
        kind, x, y = (suggestion.architecture.choices[name] for name in ("kind", "x", "y"))
        if kind == "fails" or x > 0.8:
            failure = Failure(FailureClass.NAN, "loss is NaN")
            trial = make_trial(number, suggestion, accuracies=[], state=TrialState.FAILED)
            trials.append(dataclasses.replace(trial, failure=failure))
        else:
            loss = (x - 0.5) ** 2 + (y - 0.3) ** 2 - {"a": 0, "b": 0.1, "c": 0.2}[kind]
            trials.append(make_trial(number, suggestion, accuracies=[-loss]))
    failed = [trial.state is TrialState.FAILED for trial in trials]
    assert sum(failed[:20]) >= 1
    assert sum(failed[-15:]) <= 4


@pytest.mark.parametrize("limit", [80**2, math.inf])
@pytest.mark.parametrize("other", [{}, {"rewiring": FloatDistribution(0, 1)}])  # all, or a sample
def test_the_front_is_looked_for_up_to_the_largest_although_only_small_ones_were_tried(
    make_problem, make_trial, other, limit
):
    def size(architecture):
        return (architecture.choices["width"] * architecture.choices["kernel"]) ** 2

    problem = make_problem(
        architecture=Domain(
            {
                "width": IntDistribution(1, 24),
                "kernel": CategoricalDistribution([1, 3, 5]),
                **other,
            }
        ),
        distillation=Domain({}),
        limit=limit,
        size=size,
        figures=lambda architecture: {"parameters": size(architecture)},
        limits={"parameters": limit},
        rungs=(1,),
    )
    trials = []
    for number in range(12):
        suggestion = BayesianSearch(problem).suggest(trials, rng_for(0, number, "suggest"))
        if number < 4:
            choices = {"width": number + 1, "kernel": 1, **dict.fromkeys(other, 0.5)}
            suggestion = Suggestion(Architecture("tiny", choices, 0), {})
        choices = suggestion.architecture.choices
        accuracy = 80 + 3 * math.log(choices["width"]) + choices["kernel"]
        cost = size(suggestion.architecture)
        trials.append(make_trial(number, suggestion, accuracies=[accuracy], size=cost))
    assert max(trial.cost.parameters for trial in trials) > 80**2 / 2


def test_a_budget_that_nothing_meets_any_more_ends_the_search(make_problem, make_trial):
    domain = Domain({"width": IntDistribution(1, 16), "depth": IntDistribution(1, 4)})
    problem = make_problem(
        architecture=domain,
        distillation=Domain({}),
        limit=0.5,
        size=lambda architecture: architecture.choices["width"],
        figures=lambda architecture: {"parameters": architecture.choices["width"]},
        rungs=(1,),
    )
    trials = []
    for width in range(1, 6):
        suggestion = Suggestion(Architecture("tiny", {"width": width, "depth": 1}, 0), {})
        trials.append(make_trial(width, suggestion, accuracies=[width], size=width))
    with pytest.raises(SpaceExhausted):
        BayesianSearch(problem).suggest(trials, rng_for(0, 0, "suggest"))


def test_each_proposal_notes_a_gain_that_shrinks(make_problem, make_trial):
    problem = make_problem(
        architecture=Domain({f"x{i}": IntDistribution(0, 9) for i in range(2)}),
        distillation=Domain({}),
        objectives=make_problem().objectives[:1],
        size=lambda architecture: 1,
        rungs=(1,),
    )
    trials = searched(BayesianSearch(problem), 30, make_trial, distance)
    gains = [trial.notes.get(GAIN) for trial in trials]
    assert gains[:4] == [None] * 4
    assert np.median(gains[4:9]) > 10 * np.median(gains[-5:])


def test_all_metrics_constant_or_all_failed_is_no_obstacle(wide, make_trial):
    constant = searched(BayesianSearch(wide), 12, make_trial, lambda suggestion: 1.0)
    assert len({trial.architecture.key for trial in constant}) == 12
    failed = [
        dataclasses.replace(trial, state=TrialState.FAILED, evaluations=()) for trial in constant
    ]
    BayesianSearch(wide).suggest(failed, np.random.default_rng(0))
    nan = [
        dataclasses.replace(trial, evaluations=(Evaluation(1, {"accuracy": float("nan")}),))
        for trial in constant
    ]
    BayesianSearch(wide).suggest(nan, np.random.default_rng(0))


def test_two_objectives_spread_over_the_front(make_problem, make_trial):
    problem = make_problem(
        limit=1000,
        size=lambda architecture: 1,
        architecture=Domain(
            {"w": IntDistribution(1, 60), "op": CategoricalDistribution(["a", "b"])}
        ),
        distillation=Domain({}),
        rungs=(1,),
        figures=lambda architecture: {"parameters": float(architecture.choices["w"])},
    )
    strategy = BayesianSearch(problem)
    trials = []
    for number in range(25):
        suggestion = strategy.suggest(trials, rng_for(0, number, "suggest"))
        width, op = suggestion.architecture.choices["w"], suggestion.architecture.choices["op"]
        accuracy = np.log(width) + (op == "b")
        trial = make_trial(number, suggestion, accuracies=[accuracy], size=width)
        trials.append(trial)
    good = {
        trial.architecture.choices["w"]
        for trial in trials
        if trial.architecture.choices["op"] == "b"
    }
    assert min(good) <= 3 and max(good) >= 55
    assert len(good) >= 12


def test_all_points_of_a_conditional_domain():
    domain = Domain(
        {
            "op": CategoricalDistribution(["conv", "pool"]),
            "kernel": IntDistribution(3, 7, step=2),
            "rate": FloatDistribution(0, 0.5, step=0.25),
        },
        {"kernel": Condition("op", ("conv",))},
    )
    points = all_points(domain, 100)
    assert len(points) == 3 * 3 + 3
    assert len({tuple(sorted(point.items())) for point in points}) == 12
    assert all_points(domain, 10) is None
    assert all_points(Domain({"x": FloatDistribution(0, 1)}), 10**9) is None


def test_surroundings_are_points_of_the_domain(make_problem):
    domain = make_problem().domain
    rng = np.random.default_rng(0)
    leaders = domain.sample(rng, 3)
    points = list(surroundings(domain, leaders, rng, 20))
    assert len(points) > 60
    assert all(domain.canonical(point) == point for point in points)


def test_a_family_that_is_polished_does_not_keep_the_others_from_a_trial(make_problem, make_trial):
    domain = Domain(
        {
            "family": CategoricalDistribution(["lucky", "better"]),
            **{f"width_{i}": FloatDistribution(0, 1) for i in range(4)},
            **{f"{name}.{i}": FloatDistribution(0, 1) for name in ("l", "b") for i in range(4)},
        },
        {
            f"{name}.{i}": Condition("family", (family,))
            for name, family in (("l", "lucky"), ("b", "better"))
            for i in range(4)
        },
    )
    problem = make_problem(
        architecture=domain,
        distillation=Domain({}),
        objectives=make_problem().objectives[:1],
        size=lambda architecture: 1,
        rungs=(1,),
    )

    def loss(suggestion):
        choices = suggestion.architecture.choices
        numbers = [value for name, value in choices.items() if name != "family"]
        return sum((x - 0.6) ** 2 for x in numbers) - 0.3 * (choices["family"] == "better")

    # The first trials: all that was met of the better family was worse, by its other numbers.
    rng = np.random.default_rng(0)
    trials = []
    for number in range(60):
        family = "better" if number < 3 else "lucky"
        spread = 0.6 if number < 6 else 0.3 / (number - 4)
        rows = rng.normal(0.6, spread, (1, 13)).clip(0, 1)
        if number < 3:
            rows = rng.choice([0.05, 0.1, 0.95], (1, 13))
        rows[0, 0] = 0.75 if family == "better" else 0.25
        choices = next(iter(domain.decode(rows)))
        suggestion = Suggestion(Architecture("networks", choices, 0), {})
        trials.append(make_trial(number, suggestion, accuracies=[-loss(suggestion)]))
    strategy, tried = BayesianSearch(problem), []
    for number in range(60, 65):
        suggestion = strategy.suggest(trials, rng_for(0, number, "suggest"))
        tried.append(suggestion.architecture.choices["family"])
        trials.append(make_trial(number, suggestion, accuracies=[-loss(suggestion)]))
    assert "better" in tried
