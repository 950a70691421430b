from __future__ import annotations

import math

import numpy as np
import pytest

from autokd.analysis import down_sample


def test_few_points_stay_as_they_are():
    points = [(1, 0.5), (2, 0.7), (3, 0.6)]
    assert down_sample(points, 3) == points
    assert down_sample([], 10) == []


@pytest.mark.parametrize("most", [3, 4, 10, 99])
def test_ends_stay_and_no_more_points_than_wanted(most):
    points = [(epoch, math.sin(epoch)) for epoch in range(100)]
    kept = down_sample(points, most)
    assert len(kept) == most
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert kept == sorted(set(kept) & set(points))


def test_peak_of_a_flat_curve_stays():
    points = [(epoch, 5.0 if epoch == 37 else 0.0) for epoch in range(100)]
    assert (37, 5.0) in down_sample(points, 10)


def test_corner_between_two_straight_lines_stays():
    # One bucket between the ends: the largest triangle on the line from end to end.
    points = [(x, float(min(x, 6))) for x in range(11)]
    assert down_sample(points, 3) == [(0, 0.0), (6, 6.0), (10, 6.0)]


def test_equals_the_largest_triangles_found_one_by_one():
    rng = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in enumerate(rng.normal(size=62))]
    buckets = [[points[0]], *(points[1 + 10 * n : 11 + 10 * n] for n in range(6)), [points[-1]]]
    kept = [points[0]]
    for bucket, after in zip(buckets[1:-1], buckets[2:], strict=True):
        (x0, y0), (x2, y2) = kept[-1], np.mean(after, axis=0)
        area = [abs((x0 - x2) * (y - y0) - (x0 - x) * (y2 - y0)) for x, y in bucket]
        kept.append(bucket[int(np.argmax(area))])
    assert down_sample(points, 8) == [*kept, points[-1]]


def test_points_that_are_not_finite_are_left_out():
    assert down_sample([(1, 0.5), (2, math.nan), (3, math.inf), (4, 0.1)], 3) == [
        (1, 0.5),
        (4, 0.1),
    ]


def test_fewer_than_three_points_are_no_curve():
    with pytest.raises(ValueError, match="at least 3"):
        down_sample([(1, 1.0)], 2)
