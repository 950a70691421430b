"""What candidates cost, predicted: where a network has to be built to know, few can be asked."""

from __future__ import annotations

import copy
import math

import numpy as np
from scipy.special import log_ndtr

from autokd.strategies.base import Problem
from autokd.strategies.bayesian.columns import Columns, Encoder
from autokd.strategies.bayesian.gaussian_process import GaussianProcess, Prior
from autokd.strategies.bayesian.pool import Pool

_TIMES_AFFORDABLE = 12
MOST_ROWS = 200
"""So many times what a suggestion may ask are asked once, but no more than that. As many trials,
the newest, are learned from as well."""

_LEAST_SPREAD = 0.01
"""Of the logarithm of a figure that is the same everywhere so far."""

_LEAST_LIMIT = 1e-12
"""What is 0 has no logarithm."""

_EXACT = (math.log(1e-8), 0.5)
"""Prior of the noise: a figure is a function of the architecture, unless that is one draw of many.
Else what is just over a limit would go on looking as if it might be within."""


def from_anywhere(problem: Problem) -> Pool:
    """Uniform candidates, asked once what they cost. They follow from the problem alone."""
    rng = np.random.default_rng(0)
    count = min(_TIMES_AFFORDABLE * problem.affordable, MOST_ROWS)
    points = problem.domain.sample(rng, count)
    return Pool.of(problem, (problem.candidate(point, rng) for point in points))


class PredictedCosts:
    """A Gaussian process of the logarithm of each figure that is known without training.

    How a candidate is taught costs nothing, so only its architecture is looked at.

    Args:
        problem: what is searched.
        pool: n candidates whose figures are known.
    """

    def __init__(self, problem: Problem, pool: Pool) -> None:
        self.names = pool.names
        limits = [problem.limits.get(name, math.inf) for name in pool.names]
        self._limits = np.log(np.maximum(limits, _LEAST_LIMIT))
        self._encoder = Encoder(problem.architecture, pool.logs, inputs=())
        self._parameters = len(problem.architecture.parameters)
        self._middle = pool.logs.mean(axis=0)
        self._spread = np.maximum(pool.logs.std(axis=0), _LEAST_SPREAD)
        columns = self._columns(pool)
        prior = Prior() if problem.draws else Prior(noise=_EXACT)
        self._processes = [GaussianProcess(columns, logs, prior) for logs in self._scaled(pool).T]

    def given(self, pool: Pool) -> PredictedCosts:
        """The same, with the figures of more candidates known; what was fitted stays."""
        if not len(pool):
            return self
        columns, other = self._columns(pool), copy.copy(self)
        pairs = zip(self._processes, self._scaled(pool).T, strict=True)
        other._processes = [process.given(columns, logs) for process, logs in pairs]
        return other

    def predict(self, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations, each (n, f), of the logarithms of the figures.

        What two draws of one generator differ by is part of the deviation.
        """
        columns = self._columns(pool)
        predicted = [(*process.predict(columns), process.noise) for process in self._processes]
        means = np.stack([mean for mean, _, _ in predicted], axis=1)
        variances = np.stack([sd**2 + noise for _, sd, noise in predicted], axis=1)
        return means * self._spread + self._middle, np.sqrt(variances) * self._spread

    def priced(self, pool: Pool) -> tuple[Pool, np.ndarray]:
        """The candidates with predicted figures; and (n,) logarithms of the chance to be within.

        The chance is that of the limit that is least likely kept.
        """
        if not self.names:
            return pool, np.zeros(len(pool))
        means, deviations = self.predict(pool)
        room = ((self._limits - means) / deviations).min(axis=1)
        return Pool(pool.candidates, pool.units, np.exp(means), self.names), log_ndtr(room)

    def _columns(self, pool: Pool) -> Columns:
        # The architecture's parameters are the first of the joint domain.
        return self._encoder.columns(pool.units[:, : self._parameters], pool.logs)

    def _scaled(self, pool: Pool) -> np.ndarray:
        scaled: np.ndarray = (pool.logs - self._middle) / self._spread
        return scaled
