from __future__ import annotations

import math

import numpy as np
import pytest

from autokd.multiobjective import Objective, losses


def test_values_keep_their_sign_and_losses_are_smaller_when_better():
    accuracy, size = Objective("accuracy", "maximize"), Objective("parameters", "minimize")
    figures = {"accuracy": 0.9, "parameters": 1000}
    assert (accuracy.value(figures), size.value(figures)) == (0.9, 1000)
    assert (accuracy.loss(figures), size.loss(figures)) == (-0.9, 1000)


def test_a_figure_that_was_not_measured_is_nan():
    assert math.isnan(Objective("latency_ms", "minimize").loss({"accuracy": 0.9}))


def test_losses_of_many_trials_are_a_table():
    objectives = (Objective("accuracy", "maximize"), Objective("parameters", "minimize"))
    table = losses(objectives, [{"accuracy": 0.5, "parameters": 7}, {"accuracy": 0.25}])
    np.testing.assert_array_equal(table, [[-0.5, 7], [-0.25, np.nan]])
    assert losses(objectives, []).shape == (0, 2)


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="'maximize' or 'minimize'"):
        Objective("accuracy", "up")  # type: ignore[arg-type]
