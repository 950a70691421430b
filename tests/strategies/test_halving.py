from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autokd.multiobjective import Objective
from autokd.strategies import SuccessiveHalving
from autokd.trial import Evaluation, TrialKind, TrialState

ACCURACY = Objective("accuracy", "maximize")
SIZE = Objective("parameters", "minimize")
HALVING = SuccessiveHalving((1, 3, 9), 3, (ACCURACY,))


@pytest.fixture
def paused(make_trial):
    """Paused trials with these accuracies at the first rung."""

    def make(*accuracies, sizes=None):
        return [
            make_trial(i, None, (a,), TrialState.PAUSED, sizes[i] if sizes else 100)
            for i, a in enumerate(accuracies)
        ]

    return make


def promoted_numbers(halving, trials):
    """Numbers in the order of promotion, if every promoted trial keeps running."""
    trials, numbers = list(trials), []
    while (trial := halving.promotion(trials)) is not None:
        numbers.append(trial.number)
        trials[trials.index(trial)] = dataclasses.replace(trial, state=TrialState.RUNNING)
    return numbers


def test_the_best_third_of_a_rung_is_promoted_best_first(paused):
    assert promoted_numbers(HALVING, paused(0.1, 0.6, 0.3, 0.9, 0.2, 0.4)) == [3, 1]


def test_the_share_is_rounded_down(paused):
    assert promoted_numbers(HALVING, paused(0.1, 0.6)) == []
    assert promoted_numbers(HALVING, paused(0.1, 0.6, 0.3, 0.9, 0.2)) == [3]


def test_equal_trials_are_promoted_in_the_order_of_their_numbers(paused):
    trials = paused(*[0.5] * 6)
    assert promoted_numbers(HALVING, trials[::-1]) == [0, 1]


def test_the_highest_rung_comes_first(make_trial):
    at_first = [make_trial(i, None, (0.9,), TrialState.PAUSED) for i in range(3)]
    at_second = [make_trial(3 + i, None, (0.1, 0.1 * i), TrialState.PAUSED) for i in range(3)]
    assert HALVING.promotion(at_first + at_second).number == 5


def test_trials_that_went_on_or_failed_later_keep_their_place_in_the_rung(make_trial):
    gone = [
        make_trial(0, None, (0.9, 0.9, 0.9), TrialState.COMPLETE),
        make_trial(1, None, (0.8,), TrialState.RUNNING),
        make_trial(2, None, (0.7,), TrialState.QUEUED),
        make_trial(3, None, (0.6,), TrialState.FAILED),
    ]
    left = [make_trial(4 + i, None, (0.5 - 0.01 * i,), TrialState.PAUSED) for i in range(10)]
    # Of 14, the best four may train on: none of those that are left.
    assert HALVING.promotion(gone + left) is None
    more = make_trial(14, None, (0.0,), TrialState.PAUSED)
    assert promoted_numbers(HALVING, [*gone, *left, more]) == [4]


def test_a_paused_trial_stands_at_its_newest_rung_only(make_trial):
    # It is the best of the first rung, but has been promoted from there already.
    trials = [make_trial(0, None, (0.9, 0.1), TrialState.PAUSED)]
    trials += [make_trial(1 + i, None, (0.5, 0.5), TrialState.RUNNING) for i in range(2)]
    assert HALVING.promotion(trials) is None


def test_unknown_metrics_count_but_are_never_promoted(paused):
    nan = math.nan
    assert promoted_numbers(HALVING, paused(nan, nan, 0.3)) == [2]
    assert promoted_numbers(HALVING, paused(nan, nan, nan)) == []
    assert promoted_numbers(HALVING, paused(nan, 0.1, nan, nan, nan, nan)) == [1]


def test_only_search_trials_count(make_trial):
    trials = [
        make_trial(i, None, (0.5,), TrialState.PAUSED, kind=TrialKind.FINAL) for i in range(6)
    ]
    assert HALVING.promotion(trials) is None


def test_several_objectives_rank_by_front_and_then_by_room(paused):
    halving = SuccessiveHalving((1, 3), 2, (ACCURACY, SIZE))
    #       the ends       crowded, roomy   dominated
    trials = paused(0.9, 0.1, 0.85, 0.5, 0.05, 0.04, 0.03, 0.02, sizes=[90, 10, 85, 50] + [95] * 4)
    assert promoted_numbers(halving, trials) == [0, 1, 3, 2]


def test_a_single_rung_promotes_nothing(paused):
    assert SuccessiveHalving((9,), 3, (ACCURACY,)).promotion(paused(0.1, 0.2, 0.3)) is None


def test_the_next_epochs_are_those_of_the_next_rung(make_trial):
    assert HALVING.next_epochs(make_trial(0, None, ())) == 1
    assert HALVING.next_epochs(make_trial(0, None, (0.5,))) == 3
    with pytest.raises(ValueError, match="has finished the last rung, 9"):
        HALVING.next_epochs(make_trial(0, None, (0.5, 0.5, 0.5)))


@pytest.mark.parametrize(
    ("rungs", "eta", "message"), [((), 3, "rungs"), ((3, 1), 3, "rungs"), ((1, 3), 1, "eta")]
)
def test_a_ladder_that_is_none_is_refused(rungs, eta, message):
    with pytest.raises(ValueError, match=message):
        SuccessiveHalving(rungs, eta, (ACCURACY,))


def run_study(make_trial, curves, limit, trials=()):
    """One worker, as the study's loop goes: a promotion first, then a new trial."""
    trials = list(trials)

    def finish_rung(trial):
        epochs = HALVING.next_epochs(trial)
        value = curves[trial.number][HALVING.rungs.index(epochs)]
        evaluations = (*trial.evaluations, Evaluation(epochs, {"accuracy": value}))
        state = TrialState.COMPLETE if epochs == 9 else TrialState.PAUSED
        return dataclasses.replace(trial, state=state, epochs=epochs, evaluations=evaluations)

    while True:
        promoted = HALVING.promotion(trials)
        if promoted is not None:
            trials[promoted.number] = finish_rung(promoted)
        elif len(trials) < limit:
            trials.append(finish_rung(make_trial(len(trials), None, ())))
        else:
            return trials


curves = st.lists(st.tuples(*[st.integers(0, 9).map(float)] * 3), min_size=30, max_size=30)
few = settings(
    max_examples=20,
    deadline=None,
    # `make_trial` is a pure function.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@few
@given(curves, st.integers(1, 29))
def test_a_study_that_is_extended_equals_one_that_was_not_interrupted(make_trial, curves, first):
    stopped = run_study(make_trial, curves, first)
    assert run_study(make_trial, curves, 30, stopped) == run_study(make_trial, curves, 30)


@few
@given(curves, st.integers(3, 30))
def test_every_study_of_eta_trials_brings_one_to_the_last_rung(make_trial, curves, n):
    trials = run_study(make_trial, curves, n)
    assert any(trial.state is TrialState.COMPLETE for trial in trials)


@few
@given(curves)
def test_in_the_end_the_best_share_of_every_rung_has_gone_on(make_trial, curves):
    trials = run_study(make_trial, curves, 30)
    for rung, above in ((1, 3), (3, 9)):
        finished = [trial for trial in trials if trial.figures_at(rung)]
        finished.sort(key=lambda trial: (-trial.figures_at(rung)["accuracy"], trial.number))
        best = finished[: max(1, len(finished) // 3)]
        assert all(trial.figures_at(above) for trial in best)
