from __future__ import annotations

import pytest

from autokd.budget import Budget
from autokd.errors import NotFoundError, NothingFeasibleError
from autokd.multiobjective import Objective, ParetoFront
from autokd.trial import TrialKind, TrialState

ACCURACY = Objective("accuracy", "maximize")
SIZE = Objective("parameters", "minimize")


def numbers(trials):
    return [trial.number for trial in trials]


def test_the_front_is_ordered_by_the_first_objective_best_first(make_trial):
    trials = [
        make_trial(0, (0.7,), 100),
        make_trial(1, (0.9,), 300),
        make_trial(2, (0.8,), 200),
        make_trial(3, (0.75,), 250),
    ]
    assert numbers(ParetoFront.from_trials(trials, (ACCURACY, SIZE)).trials) == [1, 2, 0]
    assert numbers(ParetoFront.from_trials(trials, (SIZE, ACCURACY)).trials) == [0, 2, 1]


def test_equal_trials_are_all_on_the_front_the_older_first(make_trial):
    trials = [make_trial(number, (0.9,)) for number in (2, 0, 1)]
    assert numbers(ParetoFront.from_trials(trials, (ACCURACY,)).trials) == [0, 1, 2]


def test_only_search_trials_compete(make_trial):
    trials = [
        make_trial(0, (0.5,)),
        make_trial(1, (0.9,), kind=TrialKind.FINAL),
        make_trial(2, (0.8,), kind=TrialKind.BASELINE),
    ]
    assert numbers(ParetoFront.from_trials(trials, (ACCURACY,)).competing) == [0]


def test_paused_trials_do_not_compete_with_complete_ones(make_trial):
    trials = [make_trial(0, (0.1, 0.5)), make_trial(1, (0.9,), state=TrialState.PAUSED)]
    assert numbers(ParetoFront.from_trials(trials, (ACCURACY,)).trials) == [0]


def test_without_complete_trials_those_with_the_most_epochs_compete(make_trial):
    trials = [
        make_trial(0, (0.9,), state=TrialState.PAUSED),
        make_trial(1, (0.1, 0.5), state=TrialState.PAUSED),
        make_trial(2, (0.1, 0.6), state=TrialState.RUNNING),
        make_trial(3, (0.1, 0.2, 0.99), state=TrialState.FAILED),
        make_trial(4, (), state=TrialState.RUNNING),
    ]
    assert numbers(ParetoFront.from_trials(trials, (ACCURACY,)).competing) == [1, 2]


def test_a_trial_with_an_unknown_objective_is_never_on_a_front(make_trial):
    trials = [make_trial(0, (float("nan"),)), make_trial(1, (0.5,))]
    assert numbers(ParetoFront.from_trials(trials, (ACCURACY, SIZE)).competing) == [1]
    unmeasured = (ACCURACY, Objective("latency_ms", "minimize"))
    assert ParetoFront.from_trials(trials, unmeasured).trials == ()


def test_the_top_goes_on_with_the_runners_up(make_trial):
    trials = [make_trial(i, (a,)) for i, a in enumerate((0.6, 0.9, 0.8))]
    front = ParetoFront.from_trials(trials, (ACCURACY,))
    assert numbers(front.trials) == [1]
    assert numbers(front.top(2)) == [1, 2]
    assert numbers(front.top(9)) == [1, 2, 0]


def test_the_hypervolume_takes_its_reference_as_users_know_it(make_trial):
    trials = [make_trial(0, (0.5,), 100), make_trial(1, (0.75,), 300)]
    front = ParetoFront.from_trials(trials, (ACCURACY, SIZE))
    assert front.hypervolume((0.0, 500)) == pytest.approx(0.5 * 400 + 0.25 * 200)
    assert front.hypervolume((0.8, 500)) == 0


def test_the_best_is_the_first_objective_s_within_the_budget(make_trial):
    # The best within 250 parameters is dominated: latency or MACs may be what was asked for.
    trials = [make_trial(0, (0.9,), 300), make_trial(1, (0.8,), 200), make_trial(2, (0.7,), 100)]
    front = ParetoFront.from_trials(trials, (ACCURACY,))
    assert front.best().number == 0
    assert front.best(Budget({"parameters": 250})).number == 1
    assert front.best(Budget({"parameters": 200})).number == 1


def test_if_none_is_within_the_budget_the_nearest_is_named(make_trial):
    trials = [make_trial(4, (0.9,), 300), make_trial(7, (0.8,), 120)]
    front = ParetoFront.from_trials(trials, (ACCURACY,))
    with pytest.raises(NothingFeasibleError, match=r"trial 7, has 1\.2x the limit of parameters"):
        front.best(Budget({"parameters": 100}))


def test_of_no_trials_there_is_no_best():
    front = ParetoFront.from_trials([], (ACCURACY, SIZE))
    assert front.trials == () and front.top(3) == () and front.hypervolume((0, 1)) == 0
    with pytest.raises(NotFoundError, match="no trial has finished"):
        front.best()
