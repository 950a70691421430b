from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autokd.strategies.bayesian.targets import FEW, part_rank, scaled, without_gaps


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


def test_two_levels_stay_two_levels():
    losses = np.repeat([0.0, 1.0], [39, 1])
    assert without_gaps(losses) == pytest.approx((losses - losses.mean()) / losses.std())


def test_one_disaster_of_many_hides_nothing_however_large():
    losses = np.append(np.linspace(1, 2, 40), 1e30)
    targets = without_gaps(losses)
    assert targets[:40] == pytest.approx(np.linspace(targets[0], targets[39], 40))
    assert np.ptp(targets[:40]) > 1
    assert targets[40] - targets[39] == pytest.approx(1, abs=0.01)


@settings(max_examples=50)
@given(
    losses=st.lists(st.integers(-5, 100), min_size=1, max_size=60),
    shift=st.floats(-10, 10),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_order_ties_and_nothing_else_of_the_scale_matter(losses, shift, scale):
    given_losses = np.array(losses, dtype=float)
    targets = without_gaps(given_losses)
    order = np.sign(given_losses[:, None] - given_losses)
    np.testing.assert_array_equal(np.sign(np.round(targets[:, None] - targets, 9)), order)
    moved = without_gaps(scale * (given_losses + shift))
    np.testing.assert_allclose(moved, targets, atol=1e-6)


@pytest.mark.parametrize("objectives", [1, 2])
def test_ranks_are_for_few_trials(objectives):
    losses = np.linspace(0, 3, FEW * objectives) ** 2
    few, many = losses[1:], losses
    assert scaled(few, objectives) == pytest.approx(part_rank(few))
    assert scaled(many, objectives) == pytest.approx(without_gaps(many))


@pytest.mark.parametrize("targets", [part_rank, without_gaps])
@pytest.mark.parametrize("count", [1, 4])
def test_equal_losses_become_zeros(targets, count):
    assert targets(np.full(count, 0.3)).tolist() == [0] * count
