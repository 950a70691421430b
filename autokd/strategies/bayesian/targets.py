"""Objectives as targets of the model: on a scale where the best stand apart."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

_ROUNDS = 50
"""Gaps are shortened so often at most; each time the spread that measures them is smaller."""


def part_rank(losses: np.ndarray, share: float = 0.5) -> np.ndarray:
    """Losses half as they are and half by their rank, with mean 0 and standard deviation 1.

    Ranks keep one diverged student from hiding all differences between good ones; the values
    keep what ranks lose, by how much one is better.

    Args:
        losses: (n,) finite values.
        share: of the standardised values; the rest is the normal quantile of the rank.

    Returns:
        (n,) targets in the order of the losses; zeros if all losses are equal.
    """
    n = len(losses)
    ranks = ndtri((rankdata(losses) - 0.5) / n)
    return _standard(share * _standard(losses) + (1 - share) * _standard(ranks))


def without_gaps(losses: np.ndarray) -> np.ndarray:
    """Losses without the gaps between them, with mean 0 and standard deviation 1.

    Where the next worse loss is farther away than one standard deviation of all, that and all that
    are worse move up to there. So students that diverged do not hide the differences between
    others, and unlike ranks this does not stretch the crowd around the best which a search leaves.

    Args:
        losses: (n,) finite values.

    Returns:
        (n,) targets in the order of the losses; zeros if all losses are equal.
    """
    order = np.argsort(losses, kind="stable")
    near = _standard(losses)[order]
    for _ in range(_ROUNDS):
        steps = np.diff(near)
        if (steps <= near.std()).all():
            break
        near = np.concatenate([[0.0], np.cumsum(np.minimum(steps, near.std()))])
    targets = np.empty(len(losses))
    targets[order] = near
    return _standard(targets)


def _standard(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    spread = values.std()
    # Rounding leaves a spread of this size in equal values.
    if spread <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return np.zeros(len(values))
    scaled: np.ndarray = centred / spread
    return scaled
