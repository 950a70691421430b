from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from autokd.multiobjective import Objective
from autokd.space import Architecture, Domain
from autokd.strategies import GainPerEpoch, SuccessiveHalving
from autokd.trial import Suggestion, TrialKind, TrialState

ACCURACY = Objective("accuracy", "maximize")
SIZE = Objective("parameters", "minimize")
RUNGS = (1, 3, 9)
UNRELATED = Domain({"n": CategoricalDistribution(range(100))})


@pytest.fixture
def make_rule(make_problem):
    """Makes the rule, of trials whose choices say nothing of each other."""

    def make(objectives, **fields):
        settings = {"architecture": UNRELATED, "distillation": Domain({}), "rungs": RUNGS, **fields}
        return GainPerEpoch(make_problem(objectives=tuple(objectives), **settings), 3)

    return make


@pytest.fixture
def record(make_trial):
    """Trials by their accuracies at the rungs; one with all three is complete."""

    def make(curves, sizes=None):
        return [
            make_trial(
                number,
                None,
                curve,
                TrialState.COMPLETE if len(curve) == 3 else TrialState.PAUSED,
                sizes[number] if sizes else 100,
            )
            for number, curve in enumerate(curves)
        ]

    return make


def curve(final, rungs=3):
    """A curve whose beginning tells its end."""
    return [final - 0.4, final - 0.2, final][:rungs]


def test_until_four_are_complete_it_is_successive_halving(record, make_rule):
    trials = record([curve(0.9), curve(0.8, 2), curve(0.7, 1), curve(0.6, 1), curve(0.85, 1)])
    ours = make_rule([ACCURACY]).promotion(trials)
    assert ours is SuccessiveHalving(RUNGS, 3, [ACCURACY]).promotion(trials)


FINISHED = [0.9, 0.8, 0.7, 0.85, 0.75]


def test_the_most_promising_trains_on_and_the_hopeless_never(record, make_rule):
    rule = make_rule([ACCURACY])
    done = [curve(final) for final in FINISHED]
    trials = record([*done, curve(0.3, 1), curve(0.97, 1), curve(0.4, 2)])
    assert rule.promotion(trials, may_start=False).number == 6
    hopeless = record([*done, curve(0.3, 1), curve(0.4, 2)])
    assert rule.promotion(hopeless, may_start=False) is None


def test_what_has_less_left_to_train_comes_first(record, make_rule):
    rule = make_rule([ACCURACY])
    done = [curve(final) for final in FINISHED]
    trials = record([*done, curve(0.95, 1), curve(0.95, 2)])
    assert rule.promotion(trials, may_start=False).number == 6


def test_the_need_is_the_front_at_the_trials_own_size(record, make_rule):
    rule = make_rule([ACCURACY, SIZE])
    done = [curve(final) for final in FINISHED]
    # Alike in accuracy and behind the best; the second is smaller than all.
    sizes = [100, 90, 95, 90, 95, 100, 20]
    trials = record([*done, curve(0.72, 1), curve(0.72, 1)], sizes)
    assert rule.promotion(trials, may_start=False).number == 6


def test_a_new_trial_is_started_where_new_ones_promise_more(record, make_rule):
    rule = make_rule([ACCURACY])
    done = [curve(final) for final in FINISHED]
    # Half of the newest were excellent and are taken; what waits is little better than the best.
    newest = [curve(0.99 if i % 2 else 0.6, 1) for i in range(20)]
    trials = [
        dataclasses.replace(trial, state=TrialState.RUNNING, epochs=3)
        if trial.number >= 6
        else trial
        for trial in record([*done, curve(0.91, 1), *newest])
    ]
    assert rule.promotion(trials) is None
    assert rule.promotion(trials, may_start=False).number == 5


def test_where_beginnings_say_nothing_what_others_like_it_reached_does(make_trial, make_rule):
    layers = Domain({"layer": CategoricalDistribution(["conv", "pool"])})
    rule = make_rule([ACCURACY], architecture=layers, draws=True)

    def trial(number, layer, reached, state=TrialState.COMPLETE):
        given = Suggestion(Architecture("s", {"layer": layer}, number), {})
        return make_trial(number, given, reached, state)

    done = []
    for i in range(6):
        start = 0.3 + 0.01 * (i % 3)
        done += [
            trial(2 * i, "conv", [start, 0.6, 0.9 + 0.01 * i]),
            trial(2 * i + 1, "pool", [start, 0.6, 0.5 + 0.01 * i]),
        ]
    waiting = [trial(20, "pool", [0.32], TrialState.PAUSED)]
    waiting += [trial(21, "conv", [0.31], TrialState.PAUSED)]
    assert rule.promotion([*done, *waiting], may_start=False).number == 21


def test_a_trial_that_diverged_never_trains_on(record, make_rule):
    done = [curve(final) for final in FINISHED]
    trials = record([*done, [float("nan")], [0.5, float("nan")]])
    assert make_rule([ACCURACY]).promotion(trials, may_start=False) is None


def test_complete_trials_without_a_value_do_not_count(record, make_rule):
    trials = record([[0.5, 0.6, float("nan")]] * 5 + [[0.5], [0.4], [0.3]])
    promoted = make_rule([ACCURACY]).promotion(trials)
    assert promoted is SuccessiveHalving(RUNGS, 3, [ACCURACY]).promotion(trials)


def test_first_rungs_without_a_value_are_no_obstacle(record, make_rule):
    nan = float("nan")
    done = [[nan, *curve(final)[1:]] for final in FINISHED]
    trials = record([*done, [nan, 0.5], [nan, 0.72]])
    assert make_rule([ACCURACY]).promotion(trials).number == 6


def test_poor_trials_are_not_taken_for_average_survivors(record, make_rule):
    """Only the better half went on, and beginnings tell ends: all that waits is worse."""
    finals = np.linspace(0.95, 0.35, 31)
    lengths = [3] * 6 + [2] * 9 + [1] * 16
    trials = record([curve(final, n) for final, n in zip(finals, lengths, strict=True)])
    assert make_rule([ACCURACY]).promotion(trials, may_start=False) is None


def test_one_in_ten_is_trained_to_the_end(record, make_rule):
    rule = make_rule([ACCURACY])
    done = [curve(final) for final in (0.9, 0.8, 0.7, 0.85)]
    poor = [curve(0.2 + 0.01 * i, 1) for i in range(36)]
    assert rule.promotion(record([*done, *poor[:30]])) is None
    assert rule.promotion(record([*done, *poor, *poor[:10]])) is not None


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_metrics_that_are_constant_or_nan_are_no_obstacle(record, make_rule, value):
    rule = make_rule([ACCURACY, SIZE])
    trials = record([[0.5] * 3] * 5 + [[value]] * 3)
    rule.promotion(trials)
    rule.promotion(trials, may_start=False)


def test_order_and_other_kinds_of_trials_make_no_difference(record, make_rule):
    rule = make_rule([ACCURACY])
    trials = record([*(curve(final) for final in FINISHED), curve(0.95, 1), curve(0.94, 1)])
    final = dataclasses.replace(trials[0], number=10**6, kind=TrialKind.FINAL)
    shuffled = [trials[i] for i in np.random.default_rng(0).permutation(len(trials))]
    assert rule.promotion([final, *shuffled]).number == rule.promotion(trials).number == 5


def test_all_of_one_rung_train_in_full(make_rule):
    rule = make_rule([ACCURACY], rungs=(9,))
    assert rule.first_epochs(0) == 9
    assert rule.promotion([]) is None
