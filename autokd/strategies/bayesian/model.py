"""What the record says of candidates that are not in it."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, logsumexp

from autokd.multiobjective import Objective, losses, non_dominated_ranks
from autokd.strategies.base import Candidate, Problem
from autokd.strategies.bayesian.acquisition import log_expected_volume
from autokd.strategies.bayesian.columns import Columns, Encoder
from autokd.strategies.bayesian.costs import PredictedCosts
from autokd.strategies.bayesian.earlier import EarlierStudy, trust
from autokd.strategies.bayesian.gaussian_process import GaussianProcess
from autokd.strategies.bayesian.pool import Pool
from autokd.strategies.bayesian.targets import are_few, scaled
from autokd.strategies.observations import Observations
from autokd.trial import Trial

_DRAWS = 16
"""Of each loss that is not integrated in closed form."""

_BOUND = 0.9
"""Quantile of a loss that bounds the volume: what the worst trials met is no good to anybody."""

_MARGIN = 0.1
"""The volume reaches beyond that, by so much of the extent."""

_LEAST_MARGIN = 0.01
"""Beyond what is known to be the end of a loss it reaches by so much."""

_LEAST_EXTENT = 1e-3
"""Of a loss that is the same for all candidates so far."""

_PROCESSES = 8
"""Few trials leave the hyper-parameters open: so many are drawn, their expectations averaged."""


@dataclass(frozen=True)
class Reach:
    """How far an objective goes.

    Attributes:
        loss: the largest loss that is known to be of use; NaN if nothing is known.
        is_end: whether nothing within the budget has more.
    """

    loss: float
    is_end: bool


class Model:
    """Expected improvement of the front by a candidate; made anew for every suggestion.

    Args:
        problem: what is searched.
        observations: the record; at least two trials with known objectives.
        reach: how far the volume reaches in an objective that is known without training, where
            there are several.
        rng: draws the values of what still runs, and all else that is not in closed form.
        earlier: other studies' models.

    Attributes:
        trained: the candidates whose objectives are known.
    """

    def __init__(
        self,
        problem: Problem,
        observations: Observations,
        reach: Callable[[Objective], Reach],
        rng: np.random.Generator,
        earlier: Sequence[EarlierStudy] = (),
    ) -> None:
        self._problem = problem
        trained = np.flatnonzero(observations.known)
        self.trained = Pool.of(problem, map(_candidate, _rows(observations.trials, trained)))
        metrics = [objective.metric for objective in problem.objectives]
        unknown = [i for i, metric in enumerate(metrics) if metric not in self.trained.names]
        # Whatever is known, one loss is integrated in closed form.
        unknown = unknown or [0]
        exact = [i for i in range(len(metrics)) if i not in unknown]
        self._exact = [problem.objectives[i] for i in exact]
        table = observations.losses[trained]
        self._middle = table[:, exact].mean(axis=0)
        self._spread = np.maximum(table[:, exact].std(axis=0), 1e-12)
        inputs = [i for i, name in enumerate(self.trained.names) if name not in problem.hidden]
        self._encoder = Encoder(problem.domain, self.trained.logs, inputs)
        self._unknown = [
            _Unknown(
                self._encoder,
                self.trained,
                scaled(table[:, i], len(metrics)),
                problem.objectives[i].metric,
                earlier,
                rng if are_few(len(table), len(metrics)) else None,
            )
            for i in unknown
        ]
        self._normals = rng.standard_normal((_DRAWS if len(unknown) > 1 else 1, len(unknown) - 1))
        self._chance = self._chances(observations)
        pending = _rows(observations.trials, np.flatnonzero(observations.pending))
        self._fronts = self._believed(Pool.of(problem, map(_candidate, pending)), rng)
        reaches = [reach(objective) for objective in self._exact]
        farthest = (np.array([one.loss for one in reaches]) - self._middle) / self._spread
        ends = [one.is_end for one in reaches]
        self._farthest = np.concatenate([np.full(len(unknown), -np.inf), farthest])
        self._margins = np.where([False] * len(unknown) + ends, _LEAST_MARGIN, _MARGIN)
        self._references = [self._bound(front) for front in self._fronts]

    def _chances(self, observations: Observations) -> GaussianProcess | None:
        """Regression of success on the candidates, 1 or 0; None if nothing has failed yet.

        What can be computed is a filter; this is for what cannot: training that diverges, or runs
        out of memory. The chance is that of being above the middle, so it has no lower bound: the
        expected improvement beside a known best has none either.
        """
        failed = _rows(observations.trials, np.flatnonzero(observations.failed))
        if not failed:
            return None
        columns = self._columns(Pool.of(self._problem, map(_candidate, failed)))
        succeeded = np.repeat([1.0, 0.0], [len(self.trained), len(failed)])
        joined = self._columns(self.trained).join(columns)
        self._threshold = (0.5 - succeeded.mean()) / succeeded.std()
        return GaussianProcess(joined, (succeeded - succeeded.mean()) / succeeded.std())

    def _believed(self, pending: Pool, rng: np.random.Generator) -> list[np.ndarray]:
        """What was trained and, drawn, what still runs, as each process sees it.

        (n, m) losses without the noise of single trainings, those of the unknown objectives first.
        """
        every = self.trained
        if len(pending):
            every = every.join(pending)
            self._unknown = [unknown.imagining(pending, rng) for unknown in self._unknown]
        exact = self._exact_losses(every)
        fitted = zip(*(unknown.fitted(every) for unknown in self._unknown), strict=True)
        return [np.column_stack([*means, exact]) for means in fitted]

    def _bound(self, front: np.ndarray) -> np.ndarray:
        """(m,) losses that bound the volume."""
        worst, best = front.max(axis=0), front.min(axis=0)
        count = len(self._unknown)
        worst[:count] = np.quantile(front[:, :count], _BOUND, axis=0)
        # All that is within the budget may be wanted, however large what was tried so far.
        worst = np.fmax(worst, self._farthest)
        bound: np.ndarray = worst + self._margins * np.maximum(worst - best, _LEAST_EXTENT)
        return bound

    def leaders(self, count: int) -> list[Candidate]:
        """The best trained candidates as the model sees them."""
        table = np.mean(self._fronts, axis=0)[: len(self.trained)]
        order = np.lexsort((table[:, 0], non_dominated_ranks(table)))
        return [self.trained.candidates[i] for i in order[:count]]

    def score(self, pool: Pool) -> np.ndarray:
        """(n,) logarithms of the expected improvement by each candidate."""
        exact = self._exact_losses(pool)
        beliefs = zip(*(unknown.beliefs(pool) for unknown in self._unknown), strict=True)
        scores = [
            self._expected_volume(belief, exact, front, reference)
            for belief, front, reference in zip(
                beliefs, self._fronts, self._references, strict=True
            )
        ]
        logs = np.asarray(logsumexp(scores, axis=0)) - math.log(len(scores))
        if self._chance is not None:
            mean, deviation = self._chance.predict(self._columns(pool))
            deviation = np.sqrt(deviation**2 + self._chance.noise)
            logs += log_ndtr((mean - self._threshold) / deviation)
        return logs

    def _expected_volume(
        self,
        belief: Sequence[tuple[np.ndarray, np.ndarray]],
        exact: np.ndarray,
        front: np.ndarray,
        reference: np.ndarray,
    ) -> np.ndarray:
        """(n,) logarithms of the expected growth of a front by candidates.

        Args:
            belief: (n,) means and deviations of each unknown loss.
            exact: (n, k) of the others.
            front: (p, m) losses to improve on.
            reference: (m,) bounds the volume.
        """
        (mean, deviation), *rest = belief
        drawn = [
            (middle[:, None] + spread[:, None] * normals)[:, :, None]
            for (middle, spread), normals in zip(rest, self._normals.T, strict=True)
        ]
        known = np.repeat(exact[:, None, :], len(self._normals), axis=1)
        others = np.concatenate([*drawn, known], axis=2)
        return log_expected_volume(mean, deviation, others, front, reference)

    def gain(self, score: float) -> float:
        """A score in units of noise: 1 is what luck of one standard deviation seems to bring.

        With several objectives that luck is at every point of the front.
        """
        extent = np.mean(
            [
                (reference - front.min(axis=0))[1:].prod()
                for front, reference in zip(self._fronts, self._references, strict=True)
            ]
        )
        return float(math.exp(score) / (math.sqrt(self._unknown[0].noise) * extent))

    def guess(self, pool: Pool, costs: PredictedCosts) -> np.ndarray:
        """`score` of candidates whose figures are not known.

        That with the figures that are predicted, times how likely these keep the limit that is
        least likely kept.
        """
        priced, chance = costs.priced(pool)
        result: np.ndarray = self.score(priced) + chance
        return result

    def _exact_losses(self, pool: Pool) -> np.ndarray:
        """(n, k) losses that are known without training, scaled like the others."""
        table = losses(self._exact, pool.as_figures())
        scaled: np.ndarray = (table - self._middle) / self._spread
        return scaled

    def _columns(self, pool: Pool) -> Columns:
        return self._encoder.columns(pool.units, pool.logs)


class _Unknown:
    """One objective that only training tells.

    Args:
        encoder: of this study.
        trained: n candidates.
        targets: (n,) their losses, standardised.
        metric: its name.
        earlier: the processes model what those that know of it leave to say.
        rng: draws several hyper-parameters; None if there are enough trials for one.
    """

    def __init__(
        self,
        encoder: Encoder,
        trained: Pool,
        targets: np.ndarray,
        metric: str,
        earlier: Sequence[EarlierStudy],
        rng: np.random.Generator | None,
    ) -> None:
        self._encoder = encoder
        self._metric = metric
        self._earlier = [study for study in earlier if study.knows(metric)]
        self._trust = trust(self._told(trained), targets)
        rest = targets - self._told(trained) @ self._trust
        columns = self._columns(trained)
        if rng is not None:
            self._processes = GaussianProcess.drawn(columns, rest, _PROCESSES, rng)
        else:
            self._processes = [GaussianProcess(columns, rest)]

    def _told(self, pool: Pool) -> np.ndarray:
        """(n, k) losses that k earlier studies predict."""
        told = [study.predict(self._metric, pool) for study in self._earlier]
        return np.stack(told, axis=1) if told else np.empty((len(pool), 0))

    @property
    def noise(self) -> float:
        """Variance of a single training, in units of the targets' variance."""
        return statistics.fmean(process.noise for process in self._processes)

    def beliefs(self, pool: Pool) -> list[tuple[np.ndarray, np.ndarray]]:
        """Each process's mean and standard deviation, each (n,), of the loss without noise."""
        columns, told = self._columns(pool), self._told(pool) @ self._trust
        predicted = [process.predict(columns) for process in self._processes]
        return [(mean + told, deviation) for mean, deviation in predicted]

    def fitted(self, known: Pool) -> list[np.ndarray]:
        """Each process's mean, (n,), of what it was made of: the trained, and what is imagined."""
        told = self._told(known) @ self._trust
        return [process.fitted + told for process in self._processes]

    def imagining(self, pending: Pool, rng: np.random.Generator) -> _Unknown:
        """The same with values, drawn jointly, for what still runs."""
        columns = self._columns(pending)
        other = copy.copy(self)
        other._processes = [
            process.given(columns, process.sample(columns, rng)) for process in self._processes
        ]
        return other

    def _columns(self, pool: Pool) -> Columns:
        return self._encoder.columns(pool.units, pool.logs)


def _candidate(trial: Trial) -> Candidate:
    return Candidate(trial.architecture, trial.distillation)


def _rows(trials: Sequence[Trial], rows: np.ndarray) -> list[Trial]:
    return [trials[row] for row in rows]
