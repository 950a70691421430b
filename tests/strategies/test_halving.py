from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autokd.multiobjective import Objective
from autokd.strategies import SuccessiveHalving
from autokd.strategies.halving import hyperband_sizes
from autokd.trial import Evaluation, TrialKind, TrialState

ACCURACY = Objective("accuracy", "maximize")
SIZE = Objective("parameters", "minimize")
HALVING = SuccessiveHalving((1, 3, 9), 3, (ACCURACY,))
HYPERBAND = SuccessiveHalving((1, 3, 9), 3, (ACCURACY,), brackets=3)


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


def test_brackets_have_the_sizes_of_hyperbands_table():
    # Table 1 of the paper: R = 81, eta = 3.
    rungs = (1, 3, 9, 27, 81)
    halving = SuccessiveHalving(rungs, 3, (ACCURACY,), brackets=5)
    assert hyperband_sizes(5, 3) == [81, 27, 9, 6, 5]
    starts = [halving.first_epochs(number) for number in range(2 * 128)]
    assert [starts[:128].count(rung) for rung in rungs] == [81, 27, 9, 6, 5]
    assert starts[:128] == starts[128:]


def test_fewer_brackets_are_the_first_of_the_table():
    halving = SuccessiveHalving((1, 3, 9, 27, 81), 3, (ACCURACY,), brackets=2)
    starts = [halving.first_epochs(number) for number in range(108)]
    assert (starts.count(1), starts.count(3)) == (81, 27)


@pytest.mark.parametrize(("rungs", "eta"), [(3, 3), (5, 3), (6, 2), (2, 10)])
def test_every_part_of_a_study_has_its_share_of_each_bracket(rungs, eta):
    ladder = [eta**k for k in range(rungs)]
    halving = SuccessiveHalving(ladder, eta, (ACCURACY,), brackets=rungs)
    sizes = np.array(hyperband_sizes(rungs, eta))
    brackets = np.array([halving.bracket(number) for number in range(sizes.sum())])
    for n in range(1, sizes.sum() + 1):
        counts = np.bincount(brackets[:n], minlength=rungs)
        assert abs(counts - n * sizes / sizes.sum()).max() < 1.5


def test_one_bracket_starts_every_trial_at_the_first_rung():
    assert {HALVING.first_epochs(number) for number in range(100)} == {1}


def test_trials_compete_within_their_bracket_only(make_trial):
    def paused(number, accuracy):
        rung = HYPERBAND.bracket(number)
        return make_trial(number, None, (accuracy,) * (rung + 1), TrialState.PAUSED)

    numbers = {s: [n for n in range(15) if HYPERBAND.bracket(n) == s] for s in range(3)}
    low = [paused(number, 0.9) for number in numbers[0]]
    late = [
        dataclasses.replace(trial, evaluations=trial.evaluations[-1:])
        for trial in (paused(number, 0.1 * i) for i, number in enumerate(numbers[1]))
    ]
    assert len(low) == 9 and len(late) == 3
    # At three epochs the second bracket has three trials, all worse than those of the first.
    assert promoted_numbers(HYPERBAND, low + late) == [late[2].number, *numbers[0][:3]]


def test_a_trial_that_starts_at_a_later_rung_is_not_stopped_before(make_trial):
    third = next(n for n in range(15) if HYPERBAND.bracket(n) == 1)
    assert HYPERBAND.next_epochs(make_trial(third, None, ())) == 3
    at_three = dataclasses.replace(
        make_trial(third, None, ()), evaluations=(Evaluation(3, {"accuracy": 0.5}),)
    )
    assert HYPERBAND.next_epochs(at_three) == 9


@pytest.mark.parametrize("brackets", [0, 4])
def test_brackets_without_a_rung_are_refused(brackets):
    with pytest.raises(ValueError, match=f"brackets must be 1 to 3.*got {brackets}"):
        SuccessiveHalving((1, 3, 9), 3, (ACCURACY,), brackets)


def run_study(make_trial, curves, limit, trials=(), halving=HALVING):
    """One worker, as the study's loop goes: a promotion first, then a new trial."""
    trials = list(trials)

    def finish_rung(trial):
        epochs = halving.next_epochs(trial)
        value = curves[trial.number][halving.rungs.index(epochs)]
        evaluations = (*trial.evaluations, Evaluation(epochs, {"accuracy": value}))
        state = TrialState.COMPLETE if epochs == 9 else TrialState.PAUSED
        return dataclasses.replace(trial, state=state, epochs=epochs, evaluations=evaluations)

    while True:
        promoted = halving.promotion(trials)
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
@given(curves, st.integers(1, 29), st.sampled_from([HALVING, HYPERBAND]))
def test_a_study_that_is_extended_equals_one_that_was_not_interrupted(
    make_trial, curves, first, halving
):
    stopped = run_study(make_trial, curves, first, halving=halving)
    extended = run_study(make_trial, curves, 30, stopped, halving)
    assert extended == run_study(make_trial, curves, 30, halving=halving)


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


@few
@given(curves)
def test_in_the_end_the_best_share_of_every_bracket_has_gone_on(make_trial, curves):
    trials = run_study(make_trial, curves, 30, halving=HYPERBAND)
    for bracket in range(3):
        members = [trial for trial in trials if HYPERBAND.bracket(trial.number) == bracket]
        for rung, above in ((1, 3), (3, 9))[bracket:]:
            finished = [trial for trial in members if trial.figures_at(rung)]
            finished.sort(key=lambda trial: (-trial.figures_at(rung)["accuracy"], trial.number))
            best = finished[: max(1, len(finished) // 3)]
            assert all(trial.figures_at(above) for trial in best)
        first = HYPERBAND.rungs[bracket]
        assert all(trial.evaluations[0].epochs == first for trial in members)
