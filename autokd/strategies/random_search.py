"""Random search: the baseline that every other strategy has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autokd.strategies.base import Problem
from autokd.strategies.feasible import CandidateFinder
from autokd.trial import Suggestion, Trial


class RandomSearch:
    """Independent uniform points of the domain, among those within the budget.

    Args:
        problem: what is searched.

    References:
        J. Bergstra and Y. Bengio, "Random search for hyper-parameter optimization", Journal of
        Machine Learning Research, 2012. Here points over the budget are drawn again; where hardly
        any is within it, the proposal is one near the least bad of many draws, which is no longer
        uniform.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        candidate = CandidateFinder(self._problem, trials, rng).find()
        return Suggestion(candidate.architecture, candidate.distillation)
