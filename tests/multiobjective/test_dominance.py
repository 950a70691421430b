from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autokd.multiobjective import (
    best_first,
    crowding_distance,
    is_non_dominated,
    non_dominated_ranks,
)

few = settings(max_examples=60, deadline=None)
# Few different values, so that ties and duplicates are common.
tables = st.integers(1, 4).flatmap(
    lambda m: arrays(float, st.tuples(st.integers(0, 12), st.just(m)), elements=st.integers(0, 4))
)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@few
@given(tables)
def test_a_point_is_on_the_front_if_and_only_if_nothing_dominates_it(losses):
    expected = [not any(dominates(other, point) for other in losses) for point in losses]
    assert is_non_dominated(losses).tolist() == expected


@few
@given(tables)
def test_ranks_are_those_of_peeling_off_front_after_front(losses):
    expected, rank = np.full(len(losses), -1), 0
    while (expected < 0).any():
        left = np.flatnonzero(expected < 0)
        expected[left[is_non_dominated(losses[left])]] = rank
        rank += 1
    assert non_dominated_ranks(losses).tolist() == expected.tolist()


def test_duplicates_on_the_front_are_all_kept():
    losses = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0]])
    assert is_non_dominated(losses).tolist() == [True, True, True, False]


def test_a_point_with_a_nan_is_behind_all_others_and_dominates_nothing():
    losses = np.array([[np.nan, 0.0], [1.0, 1.0], [2.0, 2.0]])
    assert is_non_dominated(losses).tolist() == [False, True, False]
    assert non_dominated_ranks(losses).tolist() == [2, 0, 1]


def test_infinite_losses_are_compared_like_others():
    losses = np.array([[np.inf, 0.0], [np.inf, 1.0], [-np.inf, np.inf]])
    assert is_non_dominated(losses).tolist() == [True, False, True]


@pytest.mark.parametrize("m", [1, 2, 3])
def test_no_points_have_no_front(m):
    losses = np.empty((0, m))
    assert is_non_dominated(losses).shape == (0,)
    assert non_dominated_ranks(losses).shape == (0,)
    assert crowding_distance(losses).shape == (0,)


def test_crowding_of_a_line_is_the_distance_between_the_neighbours():
    losses = np.array([[0.0, 10.0], [1.0, 9.0], [5.0, 5.0], [10.0, 0.0]])
    # The second lies between 0 and 5 of 10 on both axes, the third between 1 and 10.
    assert crowding_distance(losses).tolist() == pytest.approx([np.inf, 1.0, 1.8, np.inf])


@few
@given(tables, st.randoms(use_true_random=False))
def test_crowding_does_not_depend_on_the_order_of_the_points(losses, random):
    front = losses[is_non_dominated(losses)]
    order = list(range(len(front)))
    random.shuffle(order)
    assert crowding_distance(front[order]).tolist() == crowding_distance(front)[order].tolist()


def test_an_axis_on_which_all_points_are_equal_tells_nothing_apart():
    losses = np.array([[0.0, 3.0, 1.0], [1.0, 2.0, 1.0], [3.0, 0.0, 1.0]])
    assert crowding_distance(losses).tolist() == crowding_distance(losses[:, :2]).tolist()
    assert crowding_distance(np.ones((3, 2))).tolist() == [0.0, 0.0, 0.0]


def test_the_best_come_first_whatever_the_number_of_objectives():
    nan = math.nan
    assert best_first(np.array([[2.0], [nan], [1.0], [2.0], [0.0]])).tolist() == [4, 2, 0, 3]
    # Two fronts, the second of one point; of the first the ends have most room.
    table = np.array([[5.0, 5.0], [0.9, 3.0], [0.0, 4.0], [1.0, 1.0], [4.0, 0.0], [nan, 0.0]])
    assert best_first(table).tolist() == [2, 4, 3, 1, 0]
