from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autokd.multiobjective import Objective
from autokd.seeding import rng_for
from autokd.space import Condition, Domain
from autokd.strategies import RandomSearch, SuccessiveHalving, bohb
from autokd.strategies.bohb import BOHBSearch
from autokd.strategies.density import KernelDensity
from autokd.trial import Evaluation, Suggestion, TrialState

ACCURACY = Objective("accuracy", "maximize")
SIZE = Objective("parameters", "minimize")
LINE = Domain({"x": FloatDistribution(0, 1)})
FORKED = Domain(
    {
        "op": CategoricalDistribution(["a", "b", "c"]),
        "x": FloatDistribution(0, 1),
        "in_a": FloatDistribution(0, 1),
        "in_b": FloatDistribution(0.01, 10, log=True),
    },
    {"in_a": Condition("op", ("a",)), "in_b": Condition("op", ("b",))},
)


@pytest.fixture
def line(make_problem):
    """A problem of one number, x, and one objective: two trials in a set are enough."""
    return make_problem(
        9,
        lambda architecture: 1,
        architecture=LINE,
        distillation=Domain({}),
        objectives=(ACCURACY,),
    )


@pytest.fixture
def points(make_trial):
    """Trials at given values of x, with the accuracies of each."""

    def make(problem, *rows, state=TrialState.PAUSED, first=0, size=100):
        return [
            make_trial(
                first + i,
                Suggestion(problem.draw({"x": x}, np.random.default_rng(i)), {}),
                accuracies,
                state,
                size,
            )
            for i, (x, *accuracies) in enumerate(rows)
        ]

    return make


@pytest.fixture
def fitted(monkeypatch):
    """The points of every density that is fitted, the good ones and the rest in turn."""
    seen = []

    def spy(points, *arguments):
        seen.append(points)
        return KernelDensity(points, *arguments)

    monkeypatch.setattr(bohb, "KernelDensity", spy)
    return seen


@pytest.fixture
def models(fitted):
    """Gives the values of the good trials and of the rest, in order; nothing without a model."""

    def of(problem, trials):
        fitted.clear()
        # Two of three suggestions ask a model, if there is one.
        for seed in range(12):
            BOHBSearch(problem).suggest(trials, np.random.default_rng(seed))
        return [np.sort(points, axis=None).tolist() for points in fitted[:2]]

    return of


def grow(strategy, problem, make_trial, n, seed, accuracy):
    """The record of a study of `n` trials, one after the other."""
    trials = []
    for number in range(n):
        suggestion = strategy(problem).suggest(trials, rng_for(seed, number, "suggest"))
        trials.append(make_trial(number, suggestion, (accuracy(suggestion),)))
    return trials


def test_there_is_a_model_as_soon_as_both_sets_have_more_trials_than_parameters(
    make_problem, make_trial, models
):
    problem = make_problem()
    assert len(problem.domain.parameters) == 7
    trials = grow(RandomSearch, problem, make_trial, 16, 0, lambda suggestion: 0.5)
    assert models(problem, trials[:15]) == []
    assert [len(rows) / 7 for rows in models(problem, trials)] == [8, 8]


def test_parameters_without_a_choice_do_not_count(line, points, models):
    fixed = Domain({**LINE.parameters, "kernel": CategoricalDistribution([3])})
    problem = dataclasses.replace(line, architecture=fixed)
    trials = [
        dataclasses.replace(
            trial, architecture=problem.draw({"x": 0.1 * i, "kernel": 3}, np.random.default_rng(0))
        )
        for i, trial in enumerate(points(line, *[(0.0, 0.1 * i) for i in range(4)]))
    ]
    good, rest = models(problem, trials)
    assert good == pytest.approx([0.2, 0.3]) and rest == pytest.approx([0.0, 0.1])


def test_the_best_15_percent_are_good(line, points, models):
    trials = points(line, *[(0.01 * i, 0.01 * i) for i in range(100)])
    good, rest = models(line, trials)
    assert good == pytest.approx([0.01 * i for i in range(85, 100)])
    assert rest == pytest.approx([0.01 * i for i in range(85)])


def test_one_proposal_in_three_is_uniform(line, points, fitted):
    trials = points(line, *[(0.01 * i, 0.01 * i) for i in range(20)])
    for seed in range(300):
        BOHBSearch(line).suggest(trials, np.random.default_rng(seed))
    assert len(fitted) / 2 / 300 == pytest.approx(2 / 3, abs=0.08)


def test_the_model_is_that_of_the_highest_rung_with_enough_trials(line, points, models):
    # Up to the second rung the order is the reverse of that at the last.
    top = points(line, (0.1, 0.9, 0.9, 0.1), (0.2, 0.8, 0.8, 0.2), (0.3, 0.7, 0.7, 0.3))
    middle = points(line, (0.4, 0.6, 0.6), (0.5, 0.5, 0.5), first=3)
    low = points(line, *[(0.6 + 0.1 * i, 1.0) for i in range(4)], first=5)
    # Three have finished the last rung, and four would be enough: two in each set.
    good, rest = models(line, top + middle + low)
    assert good == pytest.approx([0.1, 0.2]) and rest == pytest.approx([0.3, 0.4, 0.5])
    fourth = points(line, (0.95, 0.0, 0.0, 0.9), first=9)
    good, rest = models(line, top + middle + low + fourth)
    assert good == pytest.approx([0.3, 0.95]) and rest == pytest.approx([0.1, 0.2])


def test_trials_that_started_at_a_later_rung_count_from_there(line, points, models):
    trials = points(line, *[(0.1 * i, 0.1 * i, 0.1 * i) for i in range(4)])
    late = [dataclasses.replace(trial, evaluations=trial.evaluations[1:]) for trial in trials]
    good, rest = models(line, late)
    assert good == pytest.approx([0.2, 0.3]) and rest == pytest.approx([0.0, 0.1])


def test_what_failed_or_is_unknown_is_worst(line, points, models):
    finished = points(line, (0.1, 0.1), (0.2, 0.2), (0.3, math.nan))
    # It was best at the first rung and failed at the second.
    (trial,) = points(line, (0.9, 0.9), state=TrialState.FAILED, first=3)
    failed = [dataclasses.replace(trial, epochs=3)]
    good, rest = models(line, finished + failed)
    assert good == pytest.approx([0.1, 0.2]) and rest == pytest.approx([0.3, 0.9])
    # At the second rung it is the fourth, at the last there are but three.
    rows = (0.0, 0.9, 0.9, 0.1), (0.1, 0.8, 0.8, 0.2), (0.2, 0.7, 0.7, 0.3)
    good, rest = models(line, points(line, *rows, first=4) + failed)
    assert good == pytest.approx([0.0, 0.1]) and rest == pytest.approx([0.2, 0.9])


def test_when_all_fail_the_search_goes_on_at_random(line, points, models):
    trials = points(line, *[(0.001 * i,) for i in range(500)], state=TrialState.FAILED)
    assert models(line, trials) == []


def test_an_inactive_parameter_takes_the_values_of_others_of_its_set(
    make_problem, make_trial, fitted
):
    problem = make_problem(
        9,
        lambda architecture: 1,
        architecture=FORKED,
        distillation=Domain({}),
        objectives=(ACCURACY,),
    )
    rng = np.random.default_rng(0)
    choices = [{"op": "a", "x": 0.5, "in_a": 0.75}] + [{"op": "c", "x": 0.1 * i} for i in range(9)]
    trials = [
        make_trial(i, Suggestion(problem.draw(one, rng), {}), (1 - 0.1 * i,))
        for i, one in enumerate(choices)
    ]
    while len(fitted) < 2:
        BOHBSearch(problem).suggest(trials, rng)
    good, rest = fitted[:2]
    assert good[:, 2].tolist() == [0.75] * 5
    # No trial of the rest has it: it is drawn.
    assert len(set(rest[:, 2])) == len(rest) and not np.isnan(rest).any()
    # The set without any `in_b` draws that too.
    assert len(set(good[:, 3])) == len(good)


def test_siblings_take_their_values_from_one_trial():
    nan = math.nan
    rows = np.array([[0.1, 0.1, nan], [0.2, 0.2, nan], [nan, nan, 0.3], [nan, nan, 0.4]] * 5)
    filled = bohb._imputed(rows, np.random.default_rng(0))
    assert (filled[:, 0] == filled[:, 1]).all()
    assert set(filled[:, 0]) == {0.1, 0.2} and set(filled[:, 2]) == {0.3, 0.4}
    assert np.array_equal(filled[~np.isnan(rows)], rows[~np.isnan(rows)])


def test_the_best_within_the_budget_is_taken_and_no_cost_is_asked_in_vain(line, points):
    asked = []

    def violations(architecture):
        x = architecture.choices["x"]
        asked.append(x)
        return {"parameters": x - 0.9} if x > 0.9 else {}

    # Larger is better, and no trial is beyond the budget.
    tight = dataclasses.replace(line, violations=violations)
    trials = points(line, *[(0.009 * i, 0.009 * i) for i in range(100)])
    from_model = 0
    for seed in range(30):
        asked.clear()
        suggestion = BOHBSearch(tight).suggest(trials, np.random.default_rng(seed))
        assert asked[-1] == suggestion.architecture.choices["x"] <= 0.9
        assert all(x > 0.9 for x in asked[:-1])
        from_model += suggestion.architecture.choices["x"] > 0.75
    assert from_model > 15


def test_no_more_costs_are_asked_than_can_be_afforded(line, points, monkeypatch):
    asked = []

    def violations(architecture):
        asked.append(architecture)
        return {"parameters": 1.0}

    poor = dataclasses.replace(line, violations=violations, affordable=5)
    trials = points(line, *[(0.01 * i, 0.01 * i) for i in range(40)])
    refused = []

    class Spared(Exception):
        """Ends a suggestion where the search beyond the model begins."""

    def find(self, given=()):
        refused.append((len(given), len(asked)))
        raise Spared

    monkeypatch.setattr(bohb.CandidateFinder, "find", find)
    for seed in range(12):
        asked.clear()
        with pytest.raises(Spared):
            BOHBSearch(poor).suggest(trials, np.random.default_rng(seed))
    assert set(refused) == {(0, 0), (5, 5)}


def test_with_several_objectives_the_good_ones_are_the_first_fronts(line, points, models):
    problem = dataclasses.replace(line, objectives=(ACCURACY, SIZE))
    dominated = points(line, *[(0.1 * i, 0.5) for i in range(4)], size=100)
    small = points(line, (0.8, 0.1), first=4, size=1)
    accurate = points(line, (0.9, 0.9), first=5, size=200)
    assert models(problem, dominated + small + accurate)[0] == pytest.approx([0.8, 0.9])


def test_every_proposal_of_a_generator_is_a_new_draw(line, points):
    problem = dataclasses.replace(line, draws=True)
    trials = points(problem, *[(0.01 * i, 0.01 * i) for i in range(40)])
    seeds = {
        BOHBSearch(problem).suggest(trials, np.random.default_rng(seed)).architecture.seed
        for seed in range(20)
    }
    assert len(seeds) == 20


def test_a_space_without_choices_gives_draws_of_its_one_generator(make_problem, make_trial):
    one = Domain({"width": IntDistribution(4, 4)})
    problem = make_problem(
        9, lambda architecture: 1, architecture=one, distillation=Domain({}), draws=True
    )
    trials = grow(BOHBSearch, problem, make_trial, 12, 0, lambda suggestion: 0.5)
    assert len({trial.architecture.seed for trial in trials}) == 12


def test_a_search_with_brackets_learns_from_full_trainings(line, make_trial):
    # After one epoch a small x is best, after nine x = 0.8: a quick start misleads.
    def accuracy(x, epochs):
        late = (epochs - 1) / 8
        return (1 - late) * (1 - x) + late * (1 - 4 * (x - 0.8) ** 2)

    halving = SuccessiveHalving(line.rungs, 3, (ACCURACY,), brackets=3)

    def finish_rung(trial):
        epochs = halving.next_epochs(trial)
        value = accuracy(trial.architecture.choices["x"], epochs)
        return dataclasses.replace(
            trial,
            epochs=epochs,
            evaluations=(*trial.evaluations, Evaluation(epochs, {"accuracy": value})),
            state=TrialState.COMPLETE if epochs == 9 else TrialState.PAUSED,
        )

    trials = []
    while len(trials) < 90:
        promoted = halving.promotion(trials)
        if promoted is not None:
            trials[promoted.number] = finish_rung(promoted)
            continue
        rng = rng_for(0, len(trials), "suggest")
        suggestion = BOHBSearch(line).suggest(trials, rng)
        trials.append(finish_rung(make_trial(len(trials), suggestion, ())))
    late = np.array([trial.architecture.choices["x"] for trial in trials[45:]])
    # Two thirds come from the model.
    assert (abs(late - 0.8) < 0.15).mean() > 0.5
    assert (late < 0.3).mean() < 0.25


def test_the_regret_is_less_than_that_of_chance(make_problem, make_trial):
    def loss(suggestion):
        """Zero at operation b, x = 0.3, in_b = 1 and an even weight."""
        choices, teaching = suggestion.architecture.choices, suggestion.distillation
        chosen = {
            "a": lambda: 0.15 + (choices["in_a"] - 0.5) ** 2,
            "b": lambda: (math.log(choices["in_b"]) / 7) ** 2,
            "c": lambda: 0.3,
        }[choices["op"]]()
        return chosen + (choices["x"] - 0.3) ** 2 + (teaching["kd.weight"] - 0.5) ** 2

    problem = make_problem(
        9,
        lambda architecture: 1,
        architecture=FORKED,
        distillation=Domain({"kd.weight": FloatDistribution(0, 1)}),
        objectives=(ACCURACY,),
        rungs=(1,),
    )

    def regret(strategy):
        return np.mean(
            [
                min(
                    -trial.figures["accuracy"]
                    for trial in grow(
                        strategy, problem, make_trial, 40, seed, lambda one: -loss(one)
                    )
                )
                for seed in range(10)
            ]
        )

    assert regret(BOHBSearch) < 0.7 * regret(RandomSearch)
