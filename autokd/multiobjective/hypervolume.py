"""The volume that a front dominates: one number for how good it is."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from autokd.multiobjective.dominance import is_non_dominated


def hypervolume(losses: np.ndarray, reference: np.ndarray) -> float:
    """Exact volume of all that lies between a set of points and a reference point.

    Args:
        losses: (n, m), smaller is better. Points that are dominated, that have a NaN or that are
            not better than the reference in every loss add nothing.
        reference: (m,), a point that is worse than whatever should count.

    Returns:
        The volume, 0 if no point counts. The time grows exponentially with m: meant for m <= 5.

    Raises:
        ValueError: the shapes do not fit.

    References:
        L. While, L. Bradstreet and L. Barone, "A fast way of calculating exact hypervolumes",
        IEEE Transactions on Evolutionary Computation, 2012 (WFG). For two losses a sweep.
    """
    losses, reference = _checked(losses, reference)
    inside = losses[(losses < reference).all(axis=1)]
    return _wfg(np.unique(inside[is_non_dominated(inside)], axis=0), reference)


def hypervolume_history(losses: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The hypervolume of each beginning of a sequence of points.

    Each point adds what of its box the front before it did not cover. For at most two losses this
    takes O(n log n) in all; for more, one `hypervolume` for each point that gets onto the front.

    Args:
        losses: (n, m), as of `hypervolume`, in the order in which they came; infinite ones add
            nothing.
        reference: (m,), as of `hypervolume`.

    Returns:
        (n,), ascending: entry i is the hypervolume of the first i + 1 points.

    Raises:
        ValueError: the shapes do not fit.
    """
    losses, reference = _checked(losses, reference)
    if losses.shape[1] == 1:  # A second loss that is one below its reference changes no volume.
        losses, reference = np.c_[losses, np.zeros(len(losses))], np.append(reference, 1.0)
    inside = (np.isfinite(losses) & (losses < reference)).all(axis=1)
    added = np.zeros(len(losses))
    add = _Staircase(reference).add if losses.shape[1] == 2 else _Front(reference).add
    for index in np.flatnonzero(inside):
        added[index] = add(losses[index])
    result: np.ndarray = np.cumsum(added)
    return result


class _Front:
    """A front that grows point by point."""

    def __init__(self, reference: np.ndarray) -> None:
        self._reference = reference
        self._points = np.empty((0, len(reference)))

    def add(self, point: np.ndarray) -> float:
        """The volume that a point inside the reference adds."""
        if (self._points <= point).all(axis=1).any():
            return 0.0
        covered = hypervolume(np.maximum(self._points, point), self._reference)
        self._points = self._points[(self._points < point).any(axis=1)]
        self._points = np.vstack([self._points, point])
        return max(float(np.prod(self._reference - point)) - covered, 0.0)


class _Staircase:
    """The same for two losses: the front's points by ascending first and descending second loss."""

    def __init__(self, reference: np.ndarray) -> None:
        right, top = map(float, reference)
        # The ends of the stairs, which no point inside the reference dominates or replaces.
        self._x: list[float] = [-np.inf, right]
        self._y: list[float] = [top, -np.inf]

    def add(self, point: np.ndarray) -> float:
        """The volume that a point inside the reference adds: strips up to the stairs above it."""
        x, y = map(float, point)
        first = bisect_left(self._x, x)
        if min(self._y[first - 1], self._y[first] if self._x[first] == x else np.inf) <= y:
            return 0.0
        last, left, top, area = first, x, self._y[first - 1], 0.0
        while self._y[last] >= y:  # Points that the new one dominates.
            area += (self._x[last] - left) * (top - y)
            left, top, last = self._x[last], self._y[last], last + 1
        area += (self._x[last] - left) * (top - y)
        self._x[first:last], self._y[first:last] = [x], [y]
        return area


def _checked(losses: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    losses, reference = np.asarray(losses, dtype=float), np.asarray(reference, dtype=float)
    if losses.ndim != 2 or reference.shape != losses.shape[1:]:
        raise ValueError(
            f"expected losses of shape (n, m) and a reference of shape (m,), got {losses.shape} "
            f"and {reference.shape}"
        )
    return losses, reference


def _wfg(front: np.ndarray, reference: np.ndarray) -> float:
    """The hypervolume of different points in lexicographic order that do not dominate each other.

    The volume is the sum over the points of what each adds to those before it: its own box, less
    what of the box they cover too. As they are no worse in the first loss, the covered part
    reaches all through the box along that axis, and one loss less is left to look at.
    """
    if front.shape[1] <= 2:
        return _sweep(front, reference)
    total = 0.0
    for index, point in enumerate(front):
        covered = np.maximum(front[:index, 1:], point[1:])
        covered = np.unique(covered[is_non_dominated(covered)], axis=0)
        base = float(np.prod(reference[1:] - point[1:])) - _wfg(covered, reference[1:])
        total += float(reference[0] - point[0]) * base
    return total


def _sweep(front: np.ndarray, reference: np.ndarray) -> float:
    """The same for at most two losses: strips from one point to the next."""
    if len(front) == 0:
        return 0.0
    if front.shape[1] == 1:
        return float(reference[0] - front[0, 0])
    ends = np.append(front[1:, 0], reference[0])
    return float(np.sum((ends - front[:, 0]) * (reference[1] - front[:, 1])))
