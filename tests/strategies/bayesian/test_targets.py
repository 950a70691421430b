from __future__ import annotations

import numpy as np
import pytest

from autokd.strategies.bayesian.targets import part_rank


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


def test_equal_losses_become_zeros():
    assert part_rank(np.full(4, 0.3)).tolist() == [0, 0, 0, 0]
