"""Which images are used, and which of them held out: the same share of every class."""

from __future__ import annotations

import numpy as np


def stratified_split(
    labels: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows kept and rows held out, both ascending; the same share of every class is held out.

    Args:
        labels: (n,) whole numbers 0..classes-1, each at least twice.
        share: of each class that is held out, in (0, 1); rounded, but at least one image of each
            class is on either side.
        rng: chooses them.
    """
    counts = np.bincount(labels)
    held_out = np.clip(np.rint(share * counts), 1, counts - 1)
    is_held_out = _ranks_in_class(labels, rng) < held_out[labels]
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def balanced_subset(labels: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Ascending rows of `limit` images, equally many of each class.

    A class that has too few gives all it has and the others make up for it; when `limit` cannot
    be shared out evenly, classes differ by one.
    """
    ranks = _ranks_in_class(labels, rng)
    turn = rng.permutation(int(labels.max()) + 1)[labels]
    return np.sort(np.lexsort((turn, ranks))[:limit])


def _ranks_in_class(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) place of each image in a random order of its class, from 0."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[by_class] = np.arange(len(labels)) - starts[labels[by_class]]
    return ranks
