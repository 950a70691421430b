"""Trust regions: how large one is after the trials of the record, and what lies within it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autokd.space import Choices, Domain
from autokd.strategies.bayesian.pool import count_values
from autokd.trial import Trial

NOTES = "trade"
"""Under this key a trial's notes name the `region` that proposed it; `starts`: it starts there."""

FIRST_LENGTH = 0.8
_LARGEST_LENGTH = 1.6
_LEAST_LENGTH = 0.5**7
_SUCCESSES = 3
_FAILURES = 4
_COLUMNS_PER_FAILURE = 4

_PERTURBED = 20
"""Numbers that differ from the centre at once, on average and at most."""

_ROUNDING = 1e-9


class Axes:
    """What the columns of `Domain.encode` are, and what follows for trust regions.

    Args:
        domain: the joint domain.
        fixed: columns in which nothing changes within a region.

    Attributes:
        numbers: (d,) booleans: a number that varies.
        categories: (d,) booleans: a category that varies.
        counts: (d,) categories of each column; 1 for numbers.
        least_length: a region that is shorter has nothing left to shrink: its box holds no other
            value of a number and its ball no other category.
        patience: failures in a row after which a region shrinks.
    """

    def __init__(self, domain: Domain, fixed: Iterable[int] = ()) -> None:
        self.domain = domain
        distributions = list(domain.parameters.values())
        is_category = np.array(
            [isinstance(d, CategoricalDistribution) for d in distributions], dtype=bool
        )
        values = np.array([count_values(d) for d in distributions])
        varies = values > 1
        varies[list(fixed)] = False
        self.numbers, self.categories = varies & ~is_category, varies & is_category
        self.counts = np.where(is_category, values, 1).astype(int)
        steps = [*(1 / values[self.numbers]), 1 / max(self.categories.sum(), 1)]
        self.least_length = max(_LEAST_LENGTH, min(steps))
        self.patience = max(_FAILURES, math.ceil(varies.sum() / _COLUMNS_PER_FAILURE))


@dataclass(frozen=True)
class TrustRegion:
    """Where a region stands; it lives from one start to the next.

    Attributes:
        name: of the region.
        members: rows of the trials that belong to its present life.
        length: side of the box of numbers as a share of their range, and radius of the ball of
            categories as a share of their number.
        is_over: it has shrunk as far as it can, or has no member: it must start elsewhere.
    """

    name: str
    members: tuple[int, ...]
    length: float
    is_over: bool

    @classmethod
    def replay(
        cls,
        name: str,
        rows: Iterable[int],
        trials: Sequence[Trial],
        losses: np.ndarray,
        axes: Axes,
    ) -> TrustRegion:
        """The region as the record leaves it.

        After 3 successes in a row its length doubles, up to 1.6; after as many failures as the
        axes have patience for it is halved. A success is a trial that no earlier member is at least
        as good as in all objectives. What the region did not propose is a member, but neither a
        success nor a failure.

        Args:
            name: of the region.
            rows: of the trials that may belong to it, ascending.
            trials: the n trials of the search, in the order of their numbers.
            losses: (n, m) of the objectives; NaN where one is unknown, infinite if it failed.
            axes: of the joint domain.
        """
        members: list[int] = []
        met: list[int] = []
        length, successes, failures = FIRST_LENGTH, 0, 0
        for row in rows:
            notes = trials[row].notes.get(NOTES, {})
            if notes.get("starts"):
                members, met = [], []
                length, successes, failures = FIRST_LENGTH, 0, 0
            members.append(row)
            if np.isnan(losses[row]).any():
                continue
            is_better = not (losses[met] <= losses[row]).all(axis=1).any()
            met.append(row)
            if notes.get("region") != name or notes.get("starts"):
                continue
            successes, failures = (successes + 1, 0) if is_better else (0, failures + 1)
            if successes == _SUCCESSES:
                length, successes = min(2 * length, _LARGEST_LENGTH), 0
            elif failures == axes.patience:
                length, failures = length / 2, 0
        alive = [row for row in members if not np.isinf(losses[row]).any()]
        return cls(name, tuple(members), length, not alive or length < axes.least_length)


class Neighbourhood:
    """The points within a trust region.

    These are a box in the numbers, at least one step of a number wide, and a Hamming ball in the
    categories, of radius 1 at least. A parameter that the centre lacks may have any value.

    Args:
        axes: of the joint domain.
        centre: a canonical point.
        length: of the trust region.
        weights: (d,) by which the sides of the box differ; 1 on average.
    """

    def __init__(self, axes: Axes, centre: Choices, length: float, weights: np.ndarray) -> None:
        self.length = length
        self._axes = axes
        self._centre = axes.domain.encode([centre])[0]
        self._present = ~np.isnan(self._centre)
        self._numbers = axes.numbers & self._present
        self._categories = axes.categories & self._present
        self._half = np.maximum(length / 2 * weights, _steps(axes.domain, centre)) + _ROUNDING
        count = int(self._categories.sum())
        self.radius = min(max(round(length * count), 1), count)

    def contains(self, rows: np.ndarray) -> np.ndarray:
        """(n,) booleans for (n, d) rows of `Domain.encode`."""
        apart = np.nan_to_num(np.abs(rows - self._centre))
        differs = apart > _ROUNDING
        others = differs[:, self._categories].sum(axis=1)
        fixed = ~(self._axes.numbers | self._axes.categories)
        result: np.ndarray = (
            (apart <= self._half)[:, self._numbers].all(axis=1)
            & (others <= self.radius)
            & ~differs[:, fixed].any(axis=1)
        )
        return result

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, d) rows for `Domain.decode`: some numbers moved, up to `radius` categories changed.

        Rounding to the steps of a number may take a point out of the box.
        """
        shape = n, len(self._centre)
        centre = np.nan_to_num(self._centre, nan=0.5)
        moved = np.clip(centre + self._half * rng.uniform(-1, 1, shape), 0, 1)
        share = min(_PERTURBED / max(self._numbers.sum(), 1), 1) * rng.random((n, 1))
        moves = self._numbers & (rng.random(shape) < share)
        counts = self._axes.counts
        # Another category: so many further on, and round.
        further = 1 + np.floor(rng.random(shape) * (counts - 1))
        other = ((np.floor(centre * counts) + further) % counts + 0.5) / counts
        order = np.where(self._categories, rng.random(shape), 1.0).argsort(axis=1).argsort(axis=1)
        changes = self._categories & (order < rng.integers(0, self.radius + 1, (n, 1)))
        rows = np.where(moves, moved, np.where(changes, other, centre))
        return np.where(self._present, rows, rng.random(shape))


def _steps(domain: Domain, point: Choices) -> np.ndarray:
    """(d,) distance to the farther of the next values of each number; 0 if it is continuous."""
    here = domain.encode([point])[0]
    steps = np.zeros(len(here))
    for column, (name, distribution) in enumerate(domain.parameters.items()):
        value = point.get(name)
        if (
            not isinstance(distribution, IntDistribution | FloatDistribution)
            or not isinstance(value, int | float)
            or distribution.step is None
        ):
            continue
        low, high, step = distribution.low, distribution.high, distribution.step
        for other in (max(value - step, low), min(value + step, high)):
            there = domain.encode([{name: other}])[0, column]
            steps[column] = max(steps[column], abs(there - here[column]))
    return steps
