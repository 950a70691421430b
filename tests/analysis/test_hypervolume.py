from __future__ import annotations

import json

import numpy as np
import pytest

from autokd.analysis import front, hypervolume, sparkline
from autokd.multiobjective import ParetoFront
from autokd.report import objectives_of


@pytest.fixture
def trials(make_trial):
    return [
        make_trial(0, 0.1, 0.1, 0.5, parameters=50),
        make_trial(1, 0.1, 0.1, 0.4, parameters=60),
        make_trial(2, 0.1, 0.1, 0.9, parameters=80),
        make_trial(3, 0.9, parameters=10),
        make_trial(4, 0.1, 0.1, 0.3, parameters=70),
    ]


def test_history_has_a_point_where_something_grew_and_the_newest(record, trials):
    history = hypervolume(record, trials)
    assert history["reference"] == {"accuracy": 0.0, "parameters": 100.0}
    # 50 x 0.5, then 20 x 0.4 on top of it.
    expected = [(0, 1, 25.0, 0.5), (2, 3, 33.0, 0.9), (4, 4, 33.0, 0.9)]
    points = [
        (point["trial"], point["finished"], pytest.approx(point["hypervolume"]), point["best"])
        for point in history["points"]
    ]
    assert points == expected
    assert all(point["seconds"] is None for point in history["points"])
    json.dumps(history, allow_nan=False)


def test_attempts_tell_the_order_and_the_seconds_in_which_something_ran(
    record, trials, make_attempt
):
    attempts = [
        make_attempt(2, 0, 10),
        make_attempt(0, 5, 15),  # beside the first
        make_attempt(1, 115, 120),  # after a pause of 100 s
        make_attempt(4, 120, 125),
    ]
    points = hypervolume(record, trials, attempts)["points"]
    assert [(point["trial"], point["seconds"]) for point in points] == [
        (2, 10.0),
        (0, 15.0),
        (4, 25.0),
    ]


def test_trial_of_several_attempts_ends_with_its_last(record, trials, make_attempt):
    attempts = [make_attempt(0, 0, 10), make_attempt(2, 10, 20), make_attempt(0, 20, 40, n=2)]
    points = hypervolume(record, [trials[0], trials[2]], attempts)["points"]
    assert [(point["trial"], point["seconds"]) for point in points] == [(2, 20.0), (0, 40.0)]


def test_clock_runs_while_another_attempt_does(record, trials, make_attempt):
    attempts = [make_attempt(3, 0, None), make_attempt(0, 50, 60)]
    assert hypervolume(record, trials[:1], attempts)["points"][0]["seconds"] == 60.0


def test_last_point_is_the_hypervolume_of_the_front(record, make_trial):
    rng = np.random.default_rng(0)
    trials = [
        make_trial(n, 0.1, 0.1, float(accuracy), parameters=int(parameters))
        for n, (accuracy, parameters) in enumerate(
            zip(rng.random(80), rng.integers(1, 120, 80), strict=True)
        )
    ]
    newest = hypervolume(record, trials)["points"][-1]
    assert newest["hypervolume"] == pytest.approx(front(record, trials)["hypervolume"])
    assert newest["best"] == max(trial.figures["accuracy"] for trial in trials)


@pytest.mark.parametrize(
    "objectives",
    [
        [{"metric": "loss", "direction": "minimize"}],
        [
            {"metric": "accuracy", "direction": "maximize"},
            {"metric": "parameters", "direction": "minimize"},
            {"metric": "macs", "direction": "minimize"},
        ],
    ],
)
def test_any_number_of_objectives_equals_the_fronts_of_all_beginnings(
    make_record, make_trial, objectives
):
    record = make_record(objectives=objectives)
    rng = np.random.default_rng(1)
    trials = [
        make_trial(n, 0.1, 0.1, float(rng.random()), parameters=int(rng.integers(1, 100)))
        for n in range(40)
    ]
    history = hypervolume(record, trials)
    for point in history["points"]:
        until = [trial for trial in trials if trial.number <= point["trial"]]
        found = ParetoFront.from_trials(until, objectives_of(record))
        expected = found.hypervolume(list(history["reference"].values()))
        assert point["hypervolume"] == pytest.approx(expected)


def test_figures_without_limit_are_measured_from_the_worst_seen(make_record, trials):
    record = make_record(
        budget={},
        objectives=[
            {"metric": "loss", "direction": "minimize"},
            {"metric": "parameters", "direction": "minimize"},
        ],
    )
    history = hypervolume(record, trials)
    assert history["reference"] == {"loss": pytest.approx(0.7), "parameters": 80.0}
    assert history["points"][-1]["best"] == pytest.approx(0.1)


def test_study_without_results_has_no_history(record, make_trial):
    history = hypervolume(record, [make_trial(0)])
    assert history["points"] == []
    assert set(history["reference"]) == {"accuracy", "parameters"}
    assert sparkline(record, []) == []


def test_sparkline_of_few_trials_is_their_history(record, trials):
    assert sparkline(record, trials) == pytest.approx([25.0, 25.0, 33.0, 33.0])


def test_sparkline_is_short_and_ends_with_the_newest(record, make_trial):
    trials = [make_trial(n, 0.1, 0.1, n / 100, parameters=50) for n in range(100)]
    values = sparkline(record, trials)
    assert len(values) == 32
    assert values == sorted(values)
    assert (values[0], values[-1]) == (0, pytest.approx(0.99 * 50))
