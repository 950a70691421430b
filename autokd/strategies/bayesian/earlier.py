"""What earlier studies say of candidates of this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autokd.multiobjective import best_first
from autokd.space import Choices
from autokd.strategies.base import Problem
from autokd.strategies.bayesian.columns import Encoder
from autokd.strategies.bayesian.gaussian_process import GaussianProcess
from autokd.strategies.bayesian.pool import Pool
from autokd.strategies.bayesian.targets import scaled
from autokd.strategies.observations import Observations
from autokd.trial import Trial

_FEWEST = 3
"""Trials from which there is anything to learn."""

_PAIRS_BELIEVED = 3
"""An earlier study counts as if it had ordered so many pairs of this one's trials rightly."""


class EarlierStudy:
    """Models of this study's unknown objectives on the record of another study.

    Its space may have been another one: parameters are matched by their names. What it measured is
    turned into targets by `scaled`, so data, teacher and budget may have been others, too.

    Args:
        problem: this study's.
        names: figures that are known of this study's candidates, sorted.
        trials: the other study's record.

    Attributes:
        best: its points as far as this domain knows them, the best compromises first; empty if
            there is too little in the record.
    """

    def __init__(self, problem: Problem, names: Sequence[str], trials: Sequence[Trial]) -> None:
        epochs = {done.epochs for trial in trials for done in trial.evaluations}
        shared = tuple(
            objective
            for objective in problem.objectives
            if any(objective.metric in trial.figures for trial in trials)
        )
        rungs = tuple(sorted(epochs)) or problem.rungs
        observations = Observations.of(replace(problem, objectives=shared, rungs=rungs), trials)
        known = np.flatnonzero(observations.known & bool(shared))
        self.best: list[Choices] = []
        self._processes: dict[str, GaussianProcess] = {}
        if len(known) < _FEWEST:
            return
        told, table = [observations.trials[row] for row in known], observations.losses[known]
        points = [
            problem.domain.matched(problem.join(trial.architecture.choices, trial.distillation))
            for trial in told
        ]
        self.best = [points[row] for row in best_first(table)]
        figures = [trial.cost.figures() for trial in told]
        both = [name for name in names if all(name in known for known in figures)]
        self._both = [list(names).index(name) for name in both]
        costs = np.array([[known[name] for name in both] for known in figures], dtype=float)
        pool = Pool([], problem.domain.encode(points), costs, tuple(both))
        self._encoder = Encoder(problem.domain, pool.logs)
        columns = self._encoder.columns(pool.units, pool.logs)
        for objective, losses in zip(shared, table.T, strict=True):
            if objective.metric not in names:
                targets = scaled(losses, len(shared))
                self._processes[objective.metric] = GaussianProcess(columns, targets)

    def knows(self, metric: str) -> bool:
        """Whether the other study tells anything of an objective."""
        return metric in self._processes

    def predict(self, metric: str, pool: Pool) -> np.ndarray:
        """(n,) losses of candidates of this study, in standard deviations of the earlier one's."""
        columns = self._encoder.columns(pool.units, pool.logs[:, self._both])
        return self._processes[metric].predict(columns)[0]


def trust(predicted: np.ndarray, told: np.ndarray) -> np.ndarray:
    """How far each earlier study is to be believed, by how well it orders this one's trials.

    Args:
        predicted: (n, k) losses that k earlier studies predict of this study's trials.
        told: (n,) their losses here.

    Returns:
        (k,) factors of the predictions: 0 for one that orders the trials no better than chance,
        1 for one that orders them all rightly; their sum is 1 at most.

    References:
        M. Feurer, B. Letham, F. Hutter and E. Bakshy, "Practical transfer learning for Bayesian
        optimization", 2018 (RGPE): weights by ranking. There a weight is the probability to rank
        best among samples, and the present study's model is one of the ensemble; here it is
        Kendall's rank correlation, and the present study models what the earlier ones leave.
    """
    one, other = np.triu_indices(len(told), 1)
    differ = told[one] != told[other]
    here = np.sign(told[one] - told[other])[differ]
    there = np.sign(predicted[one] - predicted[other])[differ]
    agreement = (there * here[:, None]).sum(axis=0)
    factors = np.maximum(agreement + _PAIRS_BELIEVED, 0) / (len(here) + _PAIRS_BELIEVED)
    trusted: np.ndarray = factors / max(1.0, float(factors.sum()))
    return trusted
