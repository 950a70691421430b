from __future__ import annotations

import pytest

from autokd.analysis import progress
from autokd.trial import StudyState, TrialState


@pytest.fixture
def make_study(make_record):
    def make(limits, final=None, **fields):
        return make_record(fields, limits=limits, final=final)

    return make


@pytest.fixture
def trials(make_trial):
    """Ten of 20, of three epochs each."""
    return [make_trial(n, 0.5, 0.6, state=TrialState.PAUSED) for n in range(10)]


def test_share_is_that_of_the_nearest_limit(make_study, trials):
    assert progress(make_study({"trials": 20}), trials)["progress"] == 0.5
    assert progress(make_study({"trials": 20, "epochs": 40}), trials)["progress"] == 0.75
    assert progress(make_study({"trials": 20, "seconds": 125}), trials)["progress"] == 0.8


def test_time_left_is_what_the_rest_takes_at_the_speed_so_far(make_study, trials):
    assert progress(make_study({"trials": 20}), trials)["seconds_left"] == 100.0
    assert progress(make_study({"trials": 20, "seconds": 125}), trials)["seconds_left"] == 25.0


def test_final_stage_counts_by_its_epochs(make_study, trials, retrain):
    final = {"top": 1, "epochs": 15, "seeds": 1, "draws": 2}  # 2 + 2 runs of 15 epochs
    study = make_study({"trials": 20}, final)
    # 30 of 60 epochs of search and 60 of the final stage.
    assert progress(study, trials)["progress"] == 0.25
    assert progress(study, trials)["seconds_left"] == 300.0


def test_search_is_over_when_the_final_stage_has_begun(make_study, make_trial, retrain):
    trials = [make_trial(n, 0.5, 0.6, 0.7) for n in range(4)]
    study = make_study({"trials": 20}, {"top": 1, "epochs": 20, "seeds": 2})
    retrained = retrain(trials[0], [0.5])
    assert progress(study, [*trials, *retrained])["progress"] == pytest.approx(56 / 116)


def test_trial_that_waits_for_its_first_epoch_is_not_done(make_study, trials, make_trial):
    waiting = [make_trial(n) for n in range(10, 14)]
    study = make_study({"trials": 20})
    assert progress(study, [*trials, *waiting])["progress"] == 0.5


def test_infeasible_trials_are_done(make_study, make_trial):
    trials = [make_trial(n, state=TrialState.INFEASIBLE) for n in range(5)]
    assert progress(make_study({"trials": 20}), trials) == {"progress": 0.25, "seconds_left": None}


def test_completed_study_is_done_and_no_other_is(make_study, make_trial):
    trials = [make_trial(n, 0.5, 0.6, 0.7) for n in range(5)]
    running = make_study({"trials": 5})
    assert progress(running, trials) == {"progress": 0.99, "seconds_left": 0.0}
    completed = make_study({"trials": 5}, state=StudyState.COMPLETED)
    assert progress(completed, trials) == {"progress": 1.0, "seconds_left": None}


def test_study_that_has_not_begun_is_at_zero(make_study):
    study = make_study({"trials": 5}, state=StudyState.CREATED, seconds=0.0)
    assert progress(study, []) == {"progress": 0.0, "seconds_left": None}


def test_first_trial_on_its_way_up_is_no_division_by_zero(make_study, make_trial):
    first = make_trial(0, 0.5, state=TrialState.RUNNING)
    assert progress(make_study({"trials": 10}), [first])["progress"] == 0.1


@pytest.mark.parametrize("n", [1, 2])
def test_time_left_is_not_told_from_few_trials(make_study, trials, n):
    assert progress(make_study({"trials": 20}), trials[:n])["seconds_left"] is None


def test_time_left_is_not_told_while_nothing_runs(make_study, trials):
    study = make_study({"trials": 20}, state=StudyState.STOPPED)
    assert progress(study, trials) == {"progress": 0.5, "seconds_left": None}
