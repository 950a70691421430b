from __future__ import annotations

import json
import math

import pytest

from autokd.analysis import best, front
from autokd.errors import NotFoundError, NothingFeasibleError, UnknownNameError
from autokd.trial import Evaluation, FailureClass, TrialKind, TrialState


@pytest.fixture
def trials(make_trial):
    return [
        make_trial(0, 0.5, 0.7, 0.9, parameters=80),
        make_trial(1, 0.6, 0.6, 0.8, parameters=40),
        make_trial(2, 0.4, 0.4, 0.7, parameters=60),
        make_trial(3, 0.7, parameters=20),
    ]


def numbers(data):
    return [row["trial"] for row in data["front"]]


def test_front_of_the_objectives_stands_between_teacher_budget_and_reference(record, trials):
    data = front(record, trials)
    assert data["x"] == {"metric": "parameters", "direction": "minimize"}
    assert data["y"] == {"metric": "accuracy", "direction": "maximize"}
    assert numbers(data) == [0, 1]
    assert data["teacher"] == {"x": 1000, "y": 0.95}
    assert data["budget"] == {"x": 100, "y": None}
    assert data["reference"] == {"accuracy": 0.0, "parameters": 100.0}
    # Two boxes that share the lower left one: 60 x 0.8 + 20 x 0.1.
    assert data["hypervolume"] == pytest.approx(50.0)
    json.dumps(data, allow_nan=False)


def test_any_two_figures_can_be_compared(record, trials):
    data = front(record, trials, x="macs", y="loss")
    assert (data["x"]["direction"], data["y"]["direction"]) == ("minimize", "minimize")
    assert numbers(data) == [0, 1]
    assert data["teacher"] == {"x": None, "y": None}
    assert data["reference"] == {"loss": pytest.approx(0.3), "macs": 800}


def test_limits_leave_students_out_and_do_not_move_the_reference(record, trials):
    data = front(record, trials, limits={"parameters": 60})
    assert numbers(data) == [1]
    assert data["reference"] == front(record, trials)["reference"]
    assert data["hypervolume"] == pytest.approx(60 * 0.8)
    assert front(record, trials, limits={"weight_bytes": 1})["front"] == []
    assert front(record, trials, limits={"weight_bytes": 1})["hypervolume"] == 0


def test_front_at_a_rung_compares_all_that_finished_it(record, trials):
    assert numbers(front(record, trials, rung=1)) == [3]
    rung = front(record, trials, rung=3)
    assert numbers(rung) == [0, 1]
    assert [row["accuracy"] for row in rung["front"]] == [0.7, 0.6]
    assert [row["epochs"] for row in rung["front"]] == [3, 3]


def test_failed_trials_are_on_no_front(record, make_trial):
    trials = [make_trial(0, 0.5), make_trial(1, 0.9, failure=FailureClass.NAN)]
    assert numbers(front(record, trials, rung=1)) == [0]


def test_baseline_is_the_mean_of_the_retrainings_without_teacher(record, trials, retrain):
    final = retrain(trials[0], [0.9, 0.9])
    baseline = retrain(trials[0], [0.8, 0.84], TrialKind.BASELINE)
    data = front(record, [*trials, *final, *baseline])
    assert data["baseline"] == [{"candidate": 0, "x": 80, "y": pytest.approx(0.83)}]
    by_test = front(record, [*trials, *final, *baseline], y="test_accuracy")
    assert by_test["y"]["direction"] == "maximize"
    assert by_test["baseline"] == [{"candidate": 0, "x": 80, "y": pytest.approx(0.82)}]
    assert by_test["front"] == []


def test_study_that_has_not_begun_has_an_empty_front(make_record):
    data = front(make_record({"teacher": None}), [])
    assert (data["front"], data["baseline"], data["hypervolume"]) == ([], [], 0)
    assert data["teacher"] == data["budget"] == {"x": None, "y": None}


def test_one_objective_is_drawn_against_the_parameters(make_record, trials):
    record = make_record(objectives=[{"metric": "loss", "direction": "minimize"}])
    data = front(record, trials)
    assert (data["x"]["metric"], data["y"]["metric"]) == ("parameters", "loss")


def test_same_figure_on_both_axes_has_one_best(record, trials):
    data = front(record, trials, x="accuracy", y="accuracy")
    assert numbers(data) == [0]
    assert data["hypervolume"] == pytest.approx(0.81)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_other_figures_that_are_not_finite_are_none(record, make_trial, value):
    evaluation = Evaluation(9, {"accuracy": 0.9, "ece": value})
    trial = make_trial(0, state=TrialState.COMPLETE, evaluations=(evaluation,))
    assert front(record, [trial])["front"][0]["ece"] is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"x": "size"}, "unknown figure 'size'"),
        ({"y": "acuracy"}, "did you mean 'accuracy'"),
        ({"limits": {"accuracy": 1}}, "unknown limit 'accuracy'"),
        ({"rung": 2}, "unknown rung '2'; expected one of '1', '3', '9'"),
    ],
)
def test_unknown_names_are_refused(record, trials, asked, message):
    with pytest.raises(UnknownNameError, match=message):
        front(record, trials, **asked)


def test_best_is_that_of_the_first_objective_within_the_limits(record, trials):
    assert best(record, trials)["trial"] == 0
    assert best(record, trials, {"parameters": 60})["trial"] == 1


def test_nothing_within_the_limits_says_what_came_nearest(record, trials):
    with pytest.raises(NothingFeasibleError, match="trial 1, has 4x the limit of parameters"):
        best(record, trials, {"parameters": 10})


def test_nothing_finished_yet_has_no_best(record):
    with pytest.raises(NotFoundError):
        best(record, [])


def test_limit_of_what_is_no_cost_is_refused(record, trials):
    with pytest.raises(UnknownNameError, match="unknown limit 'size'"):
        best(record, trials, {"size": 10})
