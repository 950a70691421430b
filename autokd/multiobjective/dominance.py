"""Who dominates whom: non-dominated sorting and crowding.

Everywhere smaller is better, and a point dominates another if it is nowhere worse and somewhere
better. Equal points do not dominate each other. A point with a NaN is unknown: it dominates
nothing and is never on a front.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np


def is_non_dominated(losses: np.ndarray) -> np.ndarray:
    """Which points no other point dominates.

    Args:
        losses: (n, m), smaller is better.

    Returns:
        (n,) booleans. Of equal points on the front all are kept; points with a NaN are not on it.
    """
    known = ~np.isnan(losses).any(axis=1)
    points, position = np.unique(losses[known], axis=0, return_inverse=True)
    result = np.zeros(len(losses), dtype=bool)
    result[known] = _front(points)[position.reshape(-1)]
    return result


def non_dominated_ranks(losses: np.ndarray) -> np.ndarray:
    """The rank of each point in non-dominated sorting.

    The front has rank 0; take it away, and the front of the rest has rank 1; and so on.

    Args:
        losses: (n, m), smaller is better.

    Returns:
        (n,) integers. Points with a NaN get the rank behind all others.

    References:
        K. Deb, A. Pratap, S. Agarwal and T. Meyarivan, "A fast and elitist multiobjective genetic
        algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation, 2002. Here the fronts
        are peeled off a lexicographically sorted list instead of counting dominators, which needs
        no n x n table.
    """
    known = ~np.isnan(losses).any(axis=1)
    points, position = np.unique(losses[known], axis=0, return_inverse=True)
    ranks = _ranks_of_pairs(points) if losses.shape[1] <= 2 else _ranks_by_peeling(points)
    result = np.full(len(losses), ranks.max(initial=-1) + 1)
    result[known] = ranks[position.reshape(-1)]
    return result


def _front(points: np.ndarray) -> np.ndarray:
    """`is_non_dominated` of (n, m) different points in ascending lexicographic order."""
    if points.shape[1] <= 2:
        first: np.ndarray = _ranks_of_pairs(points) == 0
        return first
    front = np.zeros(len(points), dtype=bool)
    left = np.arange(len(points))
    while left.size:
        # The first point that is left: none behind it can dominate it, none before it did.
        head, rest = left[0], left[1:]
        front[head] = True
        left = rest[(points[rest] < points[head]).any(axis=1)]
    return front


def _ranks_by_peeling(points: np.ndarray) -> np.ndarray:
    """Ranks of (n, m) different points in ascending lexicographic order."""
    ranks = np.zeros(len(points), dtype=int)
    left, rank = np.arange(len(points)), 0
    while left.size:
        front = _front(points[left])
        ranks[left[front]] = rank
        left, rank = left[~front], rank + 1
    return ranks


def _ranks_of_pairs(points: np.ndarray) -> np.ndarray:
    """The same for m <= 2, in O(n log n).

    Points come in the order of their first loss, so the earlier ones of a front dominate a point
    if the least last loss among them is no larger. These least losses ascend with the rank.
    """
    least: list[float] = []
    ranks = np.zeros(len(points), dtype=int)
    for index, loss in enumerate(points[:, -1].tolist()):
        rank = bisect_right(least, loss)
        least[rank : rank + 1] = [loss]
        ranks[index] = rank
    return ranks


def crowding_distance(losses: np.ndarray) -> np.ndarray:
    """How much room each point of one front has around it.

    For each loss, the distance between the two neighbours of the point on that axis as a share of
    the whole range, summed over the losses; infinite for the ends. A pure function: the order of
    the points does not matter, and equal points share one distance.

    Args:
        losses: (n, m) without NaN, of points that do not dominate each other.

    Returns:
        (n,), at least 0; larger means less crowded.

    References:
        K. Deb, A. Pratap, S. Agarwal and T. Meyarivan, "A fast and elitist multiobjective genetic
        algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation, 2002. There, duplicates
        count as each other's neighbours; here they are one point.
    """
    points, position = np.unique(losses, axis=0, return_inverse=True)
    distance = np.zeros(len(points))
    for axis in points.T:
        order = np.argsort(axis, kind="stable")
        ascending = axis[order]
        span = ascending[-1] - ascending[0] if len(points) else 0.0
        # An axis on which all are equal, or whose range is not finite, tells nothing apart.
        if not 0 < span < np.inf:
            continue
        gaps = np.full(len(points), np.inf)
        gaps[1:-1] = (ascending[2:] - ascending[:-2]) / span
        distance[order] += gaps
    return distance[position.reshape(-1)]


def best_first(table: np.ndarray) -> np.ndarray:
    """The order of points in which the best come first, whatever the number of objectives.

    By non-dominated rank, then by crowding distance, the larger first; what is equal keeps its
    order.

    Args:
        table: (n, m) losses, smaller is better.

    Returns:
        Indices of the points that have no NaN.
    """
    known = np.flatnonzero(~np.isnan(table).any(axis=1))
    ranks = non_dominated_ranks(table[known])
    crowding = np.zeros(len(known))
    # In a front of one or two all have the same room: with one objective nearly all are such.
    for rank in np.flatnonzero(np.bincount(ranks) > 2):
        crowding[ranks == rank] = crowding_distance(table[known[ranks == rank]])
    result: np.ndarray = known[np.lexsort((-crowding, ranks))]
    return result
