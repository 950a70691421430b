from __future__ import annotations

import json

import numpy as np
import pytest

from autokd.analysis import importances
from autokd.errors import UnknownNameError
from autokd.trial import TrialKind

METHODS = ["ped_anova", "fanova"]


@pytest.fixture
def trials(make_trial):
    """Sixty trials whose accuracy follows one choice nearly alone."""
    rng = np.random.default_rng(0)

    def make(n):
        width, noise = float(rng.random()), float(rng.random())
        top = str(rng.choice(["ring", "tree"]))
        choices = {"width": width, "noise": noise, "top": top, "limit": 5}
        if top == "ring":
            choices["neighbours"] = int(rng.integers(2, 5))
        accuracy = 0.5 + 0.4 * width + 0.001 * noise
        weight = {"kd.weight": float(rng.random())}
        return make_trial(n, 0.1, 0.2, accuracy, choices=choices, distillation=weight)

    return [make(n) for n in range(60)]


@pytest.mark.parametrize("method", METHODS)
def test_choice_that_makes_the_accuracy_is_the_most_important(record, trials, method):
    found = importances(record, trials, method=method)
    shares = found["importances"]
    assert (found["metric"], found["method"]) == ("accuracy", method)
    assert (found["trials"], found["rung"]) == (60, 9)
    assert next(iter(shares)) == "choices.width"
    assert shares["choices.width"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert {"choices.noise", "choices.top", "distillation.kd.weight"} < set(shares)
    json.dumps(found, allow_nan=False)


def test_choices_that_not_all_have_are_told_by_ped_anova_alone(record, trials):
    assert "choices.neighbours" in importances(record, trials)["importances"]
    fanova = importances(record, trials, method="fanova")["importances"]
    assert "choices.neighbours" not in fanova


@pytest.mark.parametrize("method", METHODS)
def test_choice_that_never_varied_is_left_out(record, trials, method):
    assert "choices.limit" not in importances(record, trials, method=method)["importances"]


@pytest.mark.parametrize("method", METHODS)
def test_same_trials_give_the_same_importances(record, trials, method):
    first = importances(record, trials, method=method)
    assert json.dumps(importances(record, trials, method=method)) == json.dumps(first)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_matters_where_all_are_equal(record, make_trial, method):
    trials = [make_trial(n, 0.5, choices={"a": n, "b": -n}) for n in range(20)]
    shares = importances(record, trials, method=method)["importances"]
    assert shares == {"choices.a": 0, "choices.b": 0}


@pytest.mark.parametrize("method", METHODS)
def test_few_trials_say_nothing(record, trials, method):
    found = importances(record, trials[:9], method=method)
    assert (found["trials"], found["importances"]) == (9, {})
    assert importances(record, [], method=method)["importances"] == {}


def test_other_figures_have_importances_too(record, make_trial):
    rng = np.random.default_rng(1)
    trials = []
    for n in range(40):
        choices = {"width": int(rng.integers(1, 9)), "other": bool(rng.integers(2))}
        parameters = 10 * choices["width"]
        trials.append(make_trial(n, 0.5, choices=choices, parameters=parameters))
    found = importances(record, trials, metric="parameters")
    assert next(iter(found["importances"])) == "choices.width"


def test_values_are_those_at_the_highest_rung_that_enough_have_finished(record, make_trial):
    rng = np.random.default_rng(2)
    trials = []
    for n in range(40):
        early, late = float(rng.random()), float(rng.random())
        accuracies = (early, late) if n < 3 else (early,)
        trials.append(make_trial(n, *accuracies, choices={"early": early, "late": late}))
    found = importances(record, trials)
    assert (found["rung"], found["trials"]) == (1, 40)
    assert next(iter(found["importances"])) == "choices.early"


def test_retrained_students_do_not_count(record, trials, make_trial):
    other = make_trial(1_000_000, 0, 0, 0, kind=TrialKind.FINAL, choices={"alien": 1})
    assert importances(record, [*trials, other]) == importances(record, trials)


@pytest.mark.parametrize(
    ("asked", "message"),
    [({"metric": "size"}, "unknown figure 'size'"), ({"method": "shap"}, "unknown method 'shap'")],
)
def test_unknown_names_are_refused(record, trials, asked, message):
    with pytest.raises(UnknownNameError, match=message):
        importances(record, trials, **asked)
