from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autokd.multiobjective import hypervolume, hypervolume_history


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_of_a_staircase(n):
    losses = np.array([[i, n - 1 - i] for i in range(n)], dtype=float)
    assert hypervolume(losses, np.full(2, n)) == n * n - n * (n - 1) // 2


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_of_one_point_is_its_box(m):
    assert hypervolume(np.full((1, m), 0.25), np.ones(m)) == pytest.approx(0.75**m)


@pytest.mark.parametrize(("m", "n"), [(2, 12), (3, 8), (4, 5), (5, 4)])
def test_of_the_simplex_of_whole_numbers(m, n):
    # Points with coordinates that sum to n - 1 dominate every unit cube whose lower corner sums
    # to n - 1 or more: all cubes but those below.
    grid = itertools.product(range(n), repeat=m)
    losses = np.array([point for point in grid if sum(point) == n - 1], dtype=float)
    below = math.comb(n - 1 + m - 1, m)
    assert hypervolume(losses, np.full(m, n)) == n**m - below


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda m: arrays(
            float, st.tuples(st.integers(0, 7), st.just(m)), elements=st.integers(0, 5)
        )
    )
)
def test_equals_counting_the_unit_cubes_that_are_dominated(losses):
    m = losses.shape[1]
    corners = np.array(list(itertools.product(range(4), repeat=m)))
    dominated = (corners[:, None] >= losses[None]).all(axis=2).any(axis=1)
    assert hypervolume(losses, np.full(m, 4.0)) == pytest.approx(dominated.sum())


def test_dominated_repeated_unknown_and_outside_points_add_nothing():
    front = np.array([[0.0, 0.5], [0.5, 0.0]])
    more = np.array([[0.5, 0.5], [0.0, 0.5], [np.nan, 0.0], [-1.0, 1.0], [2.0, -5.0]])
    reference = np.ones(2)
    assert hypervolume(np.vstack([front, more]), reference) == hypervolume(front, reference) == 0.75


def test_of_nothing_is_zero():
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected losses of shape"):
        hypervolume(np.ones((4, 2)), np.ones(3))


@pytest.mark.parametrize("order", [1, -1])
def test_history_along_a_staircase_adds_one_column_or_one_row_of_squares_at_a_time(order):
    n = 6
    losses = np.array([[i, n - 1 - i] for i in range(n)], dtype=float)[::order]
    history = hypervolume_history(losses, np.full(2, n))
    assert history.tolist() == np.cumsum(range(n, 0, -1)).tolist()


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("steps", [4, 50])
def test_history_equals_the_hypervolume_of_each_beginning(m, steps):
    rng = np.random.default_rng(10 * m + steps)
    losses = rng.integers(0, steps, (60, m)) / steps
    losses[::9, 0] = np.nan
    reference = np.full(m, 0.9)
    prefixes = [hypervolume(losses[: n + 1], reference) for n in range(len(losses))]
    assert hypervolume_history(losses, reference) == pytest.approx(np.array(prefixes))


def test_history_of_a_front_that_keeps_growing_is_that_of_its_beginnings():
    first = np.random.default_rng(0).permutation(np.linspace(0, 1, 200))
    losses = np.stack([first, (1 - np.sqrt(first)) ** 2], axis=1)
    prefixes = [hypervolume(losses[: n + 1], np.ones(2)) for n in range(len(losses))]
    assert hypervolume_history(losses, np.ones(2)) == pytest.approx(np.array(prefixes))


@pytest.mark.parametrize("m", [1, 2, 3])
def test_history_of_nothing_is_empty(m):
    assert hypervolume_history(np.empty((0, m)), np.ones(m)).shape == (0,)
