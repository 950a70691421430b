from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autokd.strategies.density import KernelDensity

NUMBER = np.array([0])
MIXED = np.array([0, 3, 2])


@pytest.fixture
def mixed():
    """Seven points of a number, a category of three and one of two."""
    rng = np.random.default_rng(0)
    columns = [
        rng.random(7),
        (rng.integers(3, size=7) + 0.5) / 3,
        (rng.integers(2, size=7) + 0.5) / 2,
    ]
    return np.column_stack(columns)


def test_bandwidths_follow_the_normal_reference_rule():
    # Standard deviations 0.5 and, for two categories at 1 : 3, sqrt(1/4 · 3/4).
    points = np.array([[0.0, 0.25], [0.0, 0.75], [1.0, 0.75], [1.0, 0.75]])
    density = KernelDensity(points, np.array([0, 2]))
    factor = 1.06 * 4 ** (-1 / 6)
    assert density.bandwidths == pytest.approx([0.5 * factor, np.sqrt(3 / 16) * factor])


def test_the_bandwidth_of_categories_does_not_depend_on_their_order():
    codes = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 2])
    bandwidths = [
        KernelDensity((np.array(order)[codes][:, None] + 0.5) / 3, np.array([3])).bandwidths[0]
        for order in itertools.permutations(range(3))
    ]
    assert bandwidths == pytest.approx([1.06 * np.sqrt((1 - 0.54) / 2) * 10 ** (-1 / 5)] * 6)


def test_bandwidths_have_a_least_and_a_category_at_most_an_even_chance():
    same = KernelDensity(np.full((5, 2), 0.25), np.array([0, 2]), least=0.01)
    assert same.bandwidths.tolist() == [0.01, 0.01]
    even = KernelDensity(np.array([[0.25], [0.75]]), np.array([2]), least=0.9)
    assert even.bandwidths.tolist() == [0.5]
    assert even.log_density(np.array([[0.25], [0.75]])) == pytest.approx(np.log([0.5, 0.5]))


@pytest.mark.parametrize("centre", [0.0, 0.3, 1.0])
def test_a_number_has_a_truncated_gaussian_kernel(centre):
    density = KernelDensity(np.array([[centre]]), NUMBER, least=0.2)
    x = np.linspace(0, 1, 11)
    truth = stats.truncnorm((0 - centre) / 0.2, (1 - centre) / 0.2, loc=centre, scale=0.2)
    assert density.log_density(x[:, None]) == pytest.approx(truth.logpdf(x))


def test_a_point_has_the_mean_of_the_products_of_its_kernels():
    points = np.array([[0.2, 0.5 / 3], [0.8, 2.5 / 3]])
    density = KernelDensity(points, np.array([0, 3]))
    width, moves = density.bandwidths

    def kernel(centre):
        return stats.truncnorm(-centre / width, (1 - centre) / width, loc=centre, scale=width)

    own = (kernel(0.2).pdf(0.4) * (1 - moves) + kernel(0.8).pdf(0.4) * moves / 2) / 2
    neither = (kernel(0.2).pdf(0.4) + kernel(0.8).pdf(0.4)) * moves / 2 / 2
    rows = np.array([[0.4, 0.5 / 3], [0.4, 1.5 / 3]])
    assert np.exp(density.log_density(rows)) == pytest.approx([own, neither])


def test_the_density_of_all_points_is_one(mixed):
    density = KernelDensity(mixed, MIXED)
    middles = (np.arange(2000) + 0.5) / 2000
    total = sum(
        np.exp(
            density.log_density(
                np.column_stack(
                    [middles, np.full(2000, (a + 0.5) / 3), np.full(2000, (b + 0.5) / 2)]
                )
            )
        ).mean()
        for a in range(3)
        for b in range(2)
    )
    assert total == pytest.approx(1, abs=1e-5)


def test_what_is_far_from_every_point_is_still_told_apart():
    # In 40 columns the density itself is far below the smallest float.
    density = KernelDensity(np.zeros((9, 40)), np.zeros(40, dtype=int))
    near, far = density.log_density(np.array([[0.5] * 40, [0.6] * 40]))
    assert -np.inf < far < near < -1e6


def test_samples_follow_the_density(mixed):
    density = KernelDensity(mixed, MIXED)
    rows = density.sample(4000, np.random.default_rng(0))
    first = np.sort(rows[:, 0])
    width = density.bandwidths[0]
    kernels = stats.truncnorm(-mixed[:, 0] / width, (1 - mixed[:, 0]) / width, mixed[:, 0], width)
    assert stats.kstest(first, lambda x: kernels.cdf(x[:, None]).mean(axis=1)).pvalue > 0.01
    for column, count in ((1, 3), (2, 2)):
        moves, shares = density.bandwidths[column], np.zeros(count)
        for code in (mixed[:, column] * count).astype(int):
            shares += np.where(np.arange(count) == code, 1 - moves, moves / (count - 1)) / 7
        drawn = np.bincount((rows[:, column] * count).astype(int), minlength=count) / 4000
        assert drawn == pytest.approx(shares, abs=0.03)


def test_widening_is_for_numbers_only():
    points = np.tile([[0.5, 0.25]], (50, 1))
    density = KernelDensity(points, np.array([0, 2]), least=0.02)
    rows = density.sample(4000, np.random.default_rng(0), widening=3)
    assert rows[:, 0].std() == pytest.approx(0.06, rel=0.05)
    assert (rows[:, 1] == 0.75).mean() == pytest.approx(0.02, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.integers(0, 2**32), st.floats(1, 9))
def test_samples_stay_in_the_unit_cube(values, seed, widening):
    rng = np.random.default_rng(seed)
    points = np.column_stack([values, (rng.integers(4, size=len(values)) + 0.5) / 4])
    rows = KernelDensity(points, np.array([0, 4])).sample(20, rng, widening)
    assert (rows >= 0).all() and (rows <= 1).all()
    assert set(rows[:, 1]) <= {0.125, 0.375, 0.625, 0.875}
