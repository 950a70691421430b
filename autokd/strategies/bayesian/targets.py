"""Objectives as targets of the model: on a scale where the best stand apart."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

FEW = 20
"""Fewer trials than these for each objective are few."""

_ROUNDS = 50
"""Gaps are shortened so often at most: with them shrinks the spread that measures them."""


def are_few(trials: int, objectives: int) -> bool:
    """Whether trials are ranked, and leave the hyper-parameters of a model open."""
    return trials < FEW * objectives


def scaled(losses: np.ndarray, objectives: int) -> np.ndarray:
    """Losses as targets: half ranks of few trials, values without gaps of many.

    Of many trials most are beside the best. Ranks would make much of the little between these, and
    no other family of architectures would seem worth a trial. Along a front of several objectives
    trials crowd later.

    Args:
        losses: (n,) finite values of one objective.
        objectives: how many the study has.
    """
    return part_rank(losses) if are_few(len(losses), objectives) else without_gaps(losses)


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

    Where the next loss is farther away than one standard deviation of the result, it and all beyond
    it move up to there. So students that diverged do not hide the differences between others. Where
    there are no gaps the values stay as they are, however many of them crowd around the best.

    Args:
        losses: (n,) finite values.

    Returns:
        (n,) targets in the order of the losses; zeros if all losses are equal.
    """
    order = np.argsort(losses, kind="stable")
    steps = np.diff(losses[order], prepend=losses[order[:1]])
    for _ in range(_ROUNDS):
        # In shares of the largest, as it becomes smaller with every round.
        steps = steps / (steps.max() or 1.0)
        most = np.cumsum(steps).std()
        if (steps <= most).all():
            break
        steps = np.minimum(steps, most)
    targets = np.empty(len(losses))
    targets[order] = np.cumsum(steps)
    return _standard(targets)


def _standard(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    spread = values.std()
    # Rounding leaves a spread of this size in equal values.
    if spread <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return np.zeros(len(values))
    scaled: np.ndarray = centred / spread
    return scaled
