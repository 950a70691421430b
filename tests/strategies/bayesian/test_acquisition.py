from __future__ import annotations

import mpmath
import numpy as np
import pytest

from autokd.multiobjective import hypervolume
from autokd.strategies.bayesian.acquisition import log_expected_improvement, log_expected_volume


@pytest.mark.parametrize("z", [3.0, 0.0, -0.5, -1.5, -5.0, -30.0, -900.0, -5000.0])
def test_log_expected_improvement_equals_arbitrary_precision(z):
    mpmath.mp.dps = 50
    exact = mpmath.log(mpmath.npdf(z) + z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2)
    if abs(z) > 1000:  # the digits above are spent; the asymptotic series is exact enough
        exact = mpmath.log(mpmath.npdf(z)) - 2 * mpmath.log(abs(z)) + mpmath.log(1 - 3 / z**2)
    ours = log_expected_improvement(np.array([-2 * z]), np.array([2.0]), 0.0)
    assert ours[0] == pytest.approx(float(exact) + np.log(2), rel=1e-7)


def by_sampling(mean, deviation, others, front, reference, draws):
    rng = np.random.default_rng(0)
    before = hypervolume(front, reference)
    grown = []
    for value in mean + deviation * rng.standard_normal(draws):
        point = np.array([value, *others])
        grown.append(hypervolume(np.vstack([front, point]), reference) - before)
    return np.mean(grown)


FRONT_2 = np.array([[0.1, 0.9], [0.4, 0.5], [0.8, 0.2], [0.9, 0.9]])
FRONT_3 = np.array([[0.1, 0.9, 0.5], [0.4, 0.5, 0.2], [0.8, 0.2, 0.6]])


@pytest.mark.parametrize(
    ("front", "others"),
    [(FRONT_2, [0.1]), (FRONT_2, [0.5]), (FRONT_2, [0.7]), (FRONT_3, [0.3, 0.4])],
)
def test_expected_volume_equals_its_average_over_draws(front, others):
    reference = np.ones(front.shape[1])
    ours = log_expected_volume(
        np.array([0.3]), np.array([0.2]), np.array([[others]]), front, reference
    )
    expected = by_sampling(0.3, 0.2, others, front, reference, draws=2000)
    assert np.exp(ours[0]) == pytest.approx(expected, rel=0.1)


def test_draws_of_another_loss_are_averaged():
    reference = np.ones(2)
    mean, deviation = np.array([0.3]), np.array([0.2])
    each = [
        np.exp(log_expected_volume(mean, deviation, np.array([[[x]]]), FRONT_2, reference))[0]
        for x in (0.1, 0.6)
    ]
    both = log_expected_volume(mean, deviation, np.array([[[0.1], [0.6]]]), FRONT_2, reference)
    assert np.exp(both[0]) == pytest.approx(np.mean(each))


def test_with_one_loss_it_is_the_expected_improvement():
    mean, deviation = np.array([0.3, 0.9]), np.array([0.2, 0.1])
    ours = log_expected_volume(
        mean, deviation, np.empty((2, 1, 0)), np.array([[0.5], [0.7]]), np.array([2.0])
    )
    np.testing.assert_allclose(ours, log_expected_improvement(mean, deviation, 0.5))


def test_beyond_the_reference_nothing_is_gained():
    ours = log_expected_volume(
        np.array([0.3]), np.array([0.2]), np.array([[[1.5]]]), FRONT_2, np.ones(2)
    )
    assert ours[0] == -np.inf
