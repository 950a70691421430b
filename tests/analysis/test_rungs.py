from __future__ import annotations

import json
import math

import pytest

from autokd.analysis import rank_correlation, survival
from autokd.errors import UnknownNameError
from autokd.trial import Evaluation, TrialKind


def pairs(data):
    return {(pair["low"], pair["high"]): pair for pair in data["pairs"]}


def test_same_order_is_one_and_the_reverse_is_minus_one(record, make_trial):
    trials = [make_trial(n, n / 10, n / 20, -n / 10) for n in range(5)]
    data = rank_correlation(record, trials)
    assert (data["metric"], data["rungs"]) == ("accuracy", [1, 3, 9])
    found = pairs(data)
    assert set(found) == {(1, 3), (1, 9), (3, 9)}
    assert (found[1, 3]["spearman"], found[1, 3]["kendall"]) == (pytest.approx(1), pytest.approx(1))
    assert (found[1, 9]["spearman"], found[3, 9]["kendall"]) == (
        pytest.approx(-1),
        pytest.approx(-1),
    )
    json.dumps(data, allow_nan=False)


def test_one_exchange_among_four_is_as_the_formulas_say(record, make_trial):
    # Spearman: 1 - 6 * (1 + 1) / (4 * 15). Kendall: 5 pairs in order, 1 in disorder, of 6.
    trials = [make_trial(n, a, b) for n, (a, b) in enumerate([(1, 1), (2, 3), (3, 2), (4, 4)])]
    pair = pairs(rank_correlation(record, trials))[1, 3]
    assert (pair["n"], pair["spearman"], pair["kendall"]) == (
        4,
        pytest.approx(0.8),
        pytest.approx(4 / 6),
    )


def test_only_search_trials_that_finished_both_count(record, make_trial):
    trials = [
        *(make_trial(n, n, n) for n in range(3)),
        make_trial(3, 9.0),
        make_trial(4, 9.0, 0.0, kind=TrialKind.FINAL),
        make_trial(5, evaluations=(Evaluation(1, {"accuracy": math.nan}), Evaluation(3, {}))),
    ]
    assert pairs(rank_correlation(record, trials))[1, 3]["n"] == 3


@pytest.mark.parametrize("values", [[], [(0.1, 0.2), (0.2, 0.3)], [(0.5, n) for n in range(9)]])
def test_too_few_or_equal_values_have_no_correlation(record, make_trial, values):
    trials = [make_trial(n, *pair) for n, pair in enumerate(values)]
    pair = pairs(rank_correlation(record, trials))[1, 3]
    assert (pair["n"], pair["spearman"], pair["kendall"]) == (len(values), None, None)


def test_other_figures_can_be_ranked_and_unknown_ones_not(record, make_trial):
    trials = [make_trial(n, n / 10, n / 10) for n in range(4)]
    assert pairs(rank_correlation(record, trials, "loss"))[1, 3]["spearman"] == pytest.approx(1)
    with pytest.raises(UnknownNameError, match="unknown figure 'size'"):
        rank_correlation(record, trials, "size")


def test_survival_counts_who_finished_a_rung_or_a_higher_one(record, make_trial):
    trials = [
        make_trial(0, 0.1, 0.2, 0.3),
        make_trial(1, 0.1),
        make_trial(2, evaluations=(Evaluation(3, {"accuracy": 0.5}),)),  # of a later bracket
        make_trial(3),
        make_trial(1_000_000, 0.1, 0.2, 0.3, kind=TrialKind.FINAL),
    ]
    assert survival(record, trials) == {
        "rungs": [
            {"epochs": 1, "reached": 3},
            {"epochs": 3, "reached": 2},
            {"epochs": 9, "reached": 1},
        ]
    }
