from __future__ import annotations

import numpy as np
import pytest

from autokd.strategies.bayesian.targets import part_rank, without_gaps


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_targets_keep_the_order_and_are_standardised(share):
    losses = np.array([3.0, -1.0, 7.0, 0.5, 2.0])
    targets = part_rank(losses, share)
    assert (np.argsort(targets) == np.argsort(losses)).all()
    assert targets.mean() == pytest.approx(0)
    assert targets.std() == pytest.approx(1)


def test_one_disaster_does_not_hide_the_differences_between_the_others():
    losses = np.array([1.0, 2.0, 3.0, 1e6])
    assert np.diff(part_rank(losses))[0] > 100 * np.diff(part_rank(losses, 1.0))[0]


def test_of_what_lies_far_away_only_the_gap_is_left_out():
    losses = np.array([0.0, 0.1, 0.2, 0.3, 0.1, 0.25, 50.0, 50.1, 0.15, 0.05])
    targets = without_gaps(losses)
    assert targets.mean() == pytest.approx(0)
    assert targets.std() == pytest.approx(1)
    good, bad = losses < 1, losses > 1
    # Among each other they lie as they did.
    for part in good, bad:
        slope = np.ptp(targets[part]) / np.ptp(losses[part])
        expected = slope * (losses[part] - losses[part][0])
        assert targets[part] - targets[part][0] == pytest.approx(expected)
    assert targets[bad].min() - targets[good].max() == pytest.approx(1, abs=1e-3)


def test_without_far_ones_values_stay_as_they_are():
    losses = np.linspace(2, 3, 30) ** 2
    assert without_gaps(losses) == pytest.approx((losses - losses.mean()) / losses.std())


def test_a_crowd_around_the_best_is_not_stretched_unlike_by_ranks():
    losses = np.concatenate([np.linspace(0, 0.1, 60), np.linspace(0.1, 10, 20)])
    assert np.ptp(without_gaps(losses)[:60]) < 0.1 < 1 < np.ptp(part_rank(losses)[:60])


@pytest.mark.parametrize("scaled", [part_rank, without_gaps])
def test_equal_losses_become_zeros(scaled):
    assert scaled(np.full(4, 0.3)).tolist() == [0, 0, 0, 0]
