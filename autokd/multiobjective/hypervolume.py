"""The volume that a front dominates: one number for how good it is."""

from __future__ import annotations

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
    losses, reference = np.asarray(losses, dtype=float), np.asarray(reference, dtype=float)
    if losses.ndim != 2 or reference.shape != losses.shape[1:]:
        raise ValueError(
            f"expected losses of shape (n, m) and a reference of shape (m,), got {losses.shape} "
            f"and {reference.shape}"
        )
    inside = losses[(losses < reference).all(axis=1)]
    return _wfg(np.unique(inside[is_non_dominated(inside)], axis=0), reference)


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
