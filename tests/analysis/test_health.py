from __future__ import annotations

import json

import numpy as np
import pytest

from autokd.analysis import health
from autokd.trial import FailureClass, StopReason, StudyWish, TrialKind, TrialState


def codes(record, trials):
    return [note["code"] for note in health(record, trials)]


def only(record, trials):
    (note,) = health(record, trials)
    return note["level"], note["code"], note["message"]


@pytest.fixture
def ascending(make_trial):
    """Makes trials that get better and larger from one to the next, so that nothing is odd."""

    def make(n, first=0, **fields):
        return [
            make_trial(
                first + k,
                *(0.5 + 0.3 * (first + k) / 100 + rung / 10 for rung in range(3)),
                parameters=50 + (first + k) // 2,
                **fields,
            )
            for k in range(n)
        ]

    return make


def failed(make_trial, n, cause=FailureClass.NAN, first=500):
    return [make_trial(first + k, failure=cause) for k in range(n)]


def test_good_study_has_no_notes(record, ascending):
    assert health(record, ascending(100)) == []


def test_young_study_has_no_notes(record, make_trial):
    assert health(record, []) == []
    over = [make_trial(n, state=TrialState.INFEASIBLE) for n in range(5)]
    assert health(record, [*over, *failed(make_trial, 2)]) == []


def test_many_failures_are_counted_and_their_cause_named(record, ascending, make_trial):
    lost = failed(make_trial, 1, FailureClass.LOST_WORKER, first=600)
    trials = [*ascending(12), *failed(make_trial, 3), *lost]
    level, code, message = only(record, trials)
    assert (level, code) == ("warning", "too_many_failures")
    assert message.startswith("4 of 16 trials failed, 3 of them with nan: lower training.learn")


def test_a_study_that_waits_for_a_coordinator_says_so(make_record):
    fields = {"stop_reason": StopReason.COORDINATOR_ENDED, "wish": StudyWish.RUN}
    level, code, message = only(make_record(fields), [])
    assert (level, code) == ("info", "coordinator_ended")
    assert "goes on by itself" in message
    assert health(make_record({**fields, "wish": None}), []) == []


def test_few_failures_are_bad_luck(record, ascending, make_trial):
    assert health(record, [*ascending(100), *failed(make_trial, 10)]) == []


def test_what_was_cancelled_has_not_failed(record, make_trial):
    assert health(record, failed(make_trial, 9, FailureClass.CANCELLED)) == []


def test_failures_that_ended_the_search_are_an_error(make_record, make_trial):
    record = make_record({"stop_reason": StopReason.FAILURES})
    level, code, message = only(record, failed(make_trial, 1))
    assert (level, code) == ("error", "too_many_failures")
    assert "1 of 1 trial failed" in message and "ended the search" in message


@pytest.mark.parametrize(
    "cause", [each for each in FailureClass if each is not FailureClass.CANCELLED]
)
def test_every_cause_has_a_remedy(make_record, make_trial, cause):
    record = make_record({"stop_reason": StopReason.FAILURES})
    assert only(record, failed(make_trial, 1, cause))[2].endswith(".")


def test_no_feasible_student_among_many_is_an_error(record, make_trial):
    over = [make_trial(n, parameters=200, state=TrialState.INFEASIBLE) for n in range(20)]
    level, code, message = only(record, over)
    assert (level, code) == ("error", "no_feasible_region")
    assert "all 20 students" in message
    assert "no_feasible_region" not in codes(record, [*over, make_trial(99, 0.5)])


def test_search_that_found_nothing_feasible_is_an_error(make_record):
    record = make_record({"stop_reason": StopReason.NOTHING_FEASIBLE})
    assert only(record, [])[:2] == ("error", "no_feasible_region")


def test_budget_that_nobody_comes_near_restricts_nothing(record, make_trial):
    small = [make_trial(n, n / 50, parameters=10 + n) for n in range(20)]
    level, code, message = only(record, small)
    assert (level, code) == ("info", "budget_bites_rarely")
    assert "none of 20 students uses more than 29% of the limit of parameters" in message
    assert health(record, [*small, make_trial(99, 0.5, parameters=51)]) == []


def test_one_limit_that_bites_is_enough(make_record, make_trial):
    record = make_record(budget={"parameters": "0.1x", "peak_activation_bytes": "61B"})
    assert health(record, [make_trial(n, n / 50, parameters=10) for n in range(20)]) == []


@pytest.fixture
def pairs(make_trial, retrain):
    """Makes two candidates, retrained twice each, with and without the teacher."""

    def make(taught, plain):
        trials = [make_trial(n, 0.5, 0.6, 0.9 - n / 10, parameters=90 - n) for n in range(2)]
        final = [retrain(t, s) for t, s in zip(trials, taught, strict=True)]
        baseline = [retrain(t, s, TrialKind.BASELINE) for t, s in zip(trials, plain, strict=True)]
        return [*trials, *sum(final + baseline, [])]

    return make


def test_gain_of_distillation_within_the_noise_is_said(record, pairs):
    trials = pairs([[0.90, 0.92], [0.91, 0.90]], [[0.91, 0.90], [0.90, 0.91]])
    level, code, message = only(record, trials)
    assert (level, code) == ("info", "no_gain_from_distillation")
    # Gains of -1, 2, 1 and -1 points: 0.25 in the mean, 1.5 / 2 its standard error.
    assert "score +0.25 ± 0.75 points" in message and "the same 4 without" in message


def test_clear_gain_of_distillation_is_no_note(record, pairs):
    assert health(record, pairs([[0.93, 0.94], [0.92, 0.93]], [[0.90, 0.91], [0.90, 0.90]])) == []


def test_harm_of_distillation_is_a_warning(record, pairs):
    trials = pairs([[0.80, 0.81], [0.80, 0.82]], [[0.90, 0.91], [0.90, 0.90]])
    level, code, message = only(record, trials)
    assert (level, code) == ("warning", "no_gain_from_distillation")
    assert "it does harm" in message


def test_few_retrainings_tell_no_noise(record, make_trial, retrain):
    trial = make_trial(0, 0.5, 0.6, 0.9)
    plain = retrain(trial, [0.9, 0.9], TrialKind.BASELINE)
    assert health(record, [trial, *retrain(trial, [0.8, 0.8]), *plain]) == []


def test_rungs_that_order_the_trials_differently_are_a_warning(record, make_trial):
    order = np.random.default_rng(0).permutation(30) / 30
    trials = [make_trial(n, n / 30, float(late), parameters=60) for n, late in enumerate(order)]
    level, code, message = only(record, trials)
    assert (level, code) == ("warning", "rungs_disagree")
    assert "the order of 30 trials after 1 epoch says little of that after 3" in message


@pytest.mark.parametrize("n", [5, 9])
def test_few_trials_may_be_in_any_order(record, make_trial, n):
    trials = [make_trial(k, k / 10, 1 - k / 10, parameters=60) for k in range(n)]
    assert health(record, trials) == []


def test_rungs_that_mostly_agree_are_no_note(record, make_trial):
    rng = np.random.default_rng(0)
    trials = [
        make_trial(n, n / 30, n / 30 + float(rng.normal()) / 4, parameters=60) for n in range(30)
    ]
    assert health(record, trials) == []


def test_hypervolume_that_stands_still_is_said(record, make_trial):
    best_first = [make_trial(n, 0.5, 0.6, 0.95 - n / 1000, parameters=60) for n in range(60)]
    level, code, message = only(record, best_first)
    assert (level, code) == ("info", "converged")
    assert message.startswith("the last 30 of 60 trials that were trained in full added 0.00%")
    assert health(record, best_first[:39]) == []


def test_growing_hypervolume_is_no_note(record, make_trial):
    best_last = [make_trial(n, 0.5, 0.6, 0.7 + n / 1000, parameters=60) for n in range(60)]
    assert health(record, best_last) == []


def test_search_that_has_converged_is_said(make_record):
    record = make_record({"stop_reason": StopReason.CONVERGED})
    assert only(record, [])[:2] == ("info", "converged")


def test_gravest_note_comes_first(make_record, make_trial):
    record = make_record({"stop_reason": StopReason.FAILURES})
    small = [make_trial(n, n / 50, parameters=10) for n in range(20)]
    notes = health(record, [*small, *failed(make_trial, 9)])
    assert [note["level"] for note in notes] == ["error", "info"]
    json.dumps(notes)
