"""How much a candidate is expected to improve the front."""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, log_ndtr, logsumexp

from autokd.multiobjective import is_non_dominated

_LOG_2PI = float(np.log(2 * np.pi))

_MOST_CELLS = 8_192
"""Of the grid, times the draws of a loss; a front of p points would have (p + 1)^(m - 1)."""

_BLOCK = 4_000_000
"""Numbers that are held at a time."""


def log_expected_improvement(
    mean: np.ndarray, deviation: np.ndarray, best: np.ndarray | float
) -> np.ndarray:
    """The logarithm of the expected improvement of a normal variable below `best`.

    Accurate also where the improvement itself is too small for a floating-point number.

    Args:
        mean: of the loss, smaller is better.
        deviation: standard deviations, > 0; shapes broadcast.
        best: the loss to improve on.

    References:
        S. Ament, S. Daulton, D. Eriksson, M. Balandat and E. Bakshy, "Unexpected improvements to
        expected improvement for Bayesian optimization", NeurIPS 2023.
    """
    z = np.asarray((best - mean) / deviation)
    result = np.empty_like(z)
    near = z > -1
    density = -z * z / 2 - _LOG_2PI / 2
    result[near] = np.log(np.exp(density[near]) + z[near] * np.exp(log_ndtr(z[near])))
    # phi(z) + z Phi(z) = phi(z) (1 - |z| m(|z|)) with Mills's ratio m = sqrt(pi/2) erfcx(|z|/sqrt2)
    away = -z[~near]
    ratio = 1 - away * np.sqrt(np.pi / 2) * erfcx(away / np.sqrt(2))
    # Far away the difference is lost in rounding; its series is 1 / z^2 (1 - 3 / z^2).
    far = away > 1e3
    ratio = np.where(far, 1 / np.maximum(away, 1) ** 2, ratio)
    result[~near] = density[~near] + np.log(ratio)
    logs: np.ndarray = result + np.log(deviation)
    return logs


def log_expected_volume(
    mean: np.ndarray,
    deviation: np.ndarray,
    others: np.ndarray,
    front: np.ndarray,
    reference: np.ndarray,
) -> np.ndarray:
    """The logarithm of the expected growth of the hypervolume.

    One loss is normal, the others are known: exactly, or as draws over which the growth is
    averaged. In closed form: over each cell of the grid that the front's points make in the other
    losses, the growth is the expected improvement on the front's best loss there, times the part of
    the cell that the candidate dominates. With no other losses it is the expected improvement.

    The grid of a large front of several losses is coarser: of its edges some are left out, evenly,
    and where a cell then holds the border of what the front dominates, it counts as not dominated.

    Args:
        mean: (n,) of the first loss of n candidates, smaller is better.
        deviation: (n,) its standard deviations.
        others: (n, k, m - 1) the other losses, of each candidate k draws (one if exactly known).
        front: (p, m) losses to improve on, dominated ones may be among them.
        reference: (m,) bounds the volume.

    References:
        K. Yang, M. Emmerich, A. Deutz and T. Bäck, "Efficient computation of expected hypervolume
        improvement using box decomposition algorithms", Journal of Global Optimization, 2019. One
        loss is integrated in closed form here, the others are exact or drawn.
    """
    m = len(reference)
    if m == 1:
        return log_expected_improvement(mean, deviation, front.min(initial=reference[0]))
    front = front[(front < reference).all(axis=1)]
    front = front[is_non_dominated(front)]
    most = max(int((_MOST_CELLS / others.shape[1]) ** (1 / (m - 1)) + 1e-9), 2)
    edges = [_thinned(np.unique([*front[:, i], reference[i]]), most) for i in range(1, m)]
    # Cell by cell: the lower corner is in the grid, a candidate may lie below it.
    corners = np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1).reshape(-1, m - 1)
    lower = [np.concatenate([[-np.inf], axis[:-1]]) for axis in edges]
    lowers = np.stack(np.meshgrid(*lower, indexing="ij"), axis=-1).reshape(-1, m - 1)
    # The best first loss among the front's points that dominate the whole cell.
    dominates = (front[None, :, 1:] <= lowers[:, None, :]).all(axis=2)
    best = np.where(dominates, front[None, :, 0], reference[0]).min(axis=1, initial=reference[0])
    result = np.empty(len(mean))
    step = max(_BLOCK // (others.shape[1] * corners.size), 1)
    for rows in (slice(i, i + step) for i in range(0, len(mean), step)):
        improvement = log_expected_improvement(mean[rows, None], deviation[rows, None], best)
        above = np.maximum(lowers, others[rows, :, None, :])
        widths = np.maximum(corners - above, 0).prod(axis=3)
        with np.errstate(divide="ignore"):
            shares = np.log(widths.mean(axis=1))
        result[rows] = logsumexp(improvement + shares, axis=1)
    return result


def _thinned(edges: np.ndarray, most: int) -> np.ndarray:
    """At most so many of ascending edges, evenly chosen; the last among them."""
    if len(edges) <= most:
        return edges
    chosen: np.ndarray = edges[np.linspace(0, len(edges) - 1, most).round().astype(int)]
    return chosen
