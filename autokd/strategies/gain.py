"""Which trials may train on, by what their learning curves promise."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import ndtr

from autokd.multiobjective import losses
from autokd.strategies.base import Candidate, Problem
from autokd.strategies.bayesian.acquisition import log_expected_volume
from autokd.strategies.bayesian.columns import Columns, Encoder
from autokd.strategies.bayesian.gaussian_process import GaussianProcess
from autokd.strategies.bayesian.pool import Pool
from autokd.strategies.halving import SuccessiveHalving
from autokd.trial import Trial, TrialKind, TrialState

_FEWEST_COMPLETE = 4
"""Trials that must have reached the last rung before curves are predicted."""

_COMPLETE_SHARE = 10
"""One trial in so many is trained to the end whatever it promises, to keep the prediction true."""

_LEAST_CHANCE = 0.05
"""A trial that improves the front with a smaller probability is not trained on."""

_NEWEST = 20
"""So many of the newest trials stand for what a new one would be."""

_LEAST_SPREAD = 1e-12
"""Of losses at a rung that are all the same."""


class GainPerEpoch:
    """Trains on what is expected to improve the front most per epoch: a trial that waits, or none.

    A trial's loss at the last rung is predicted by one `GaussianProcess` of the losses of all
    trials at all rungs: over choices, settings, known costs, the logarithm of the epochs, and which
    trial it is. So it follows from the beginning of its own curve as far as beginnings tell ends,
    and from what others like it have reached. Its gain is the expected growth of the front's
    hypervolume, all that is known without training (its size) taken as it is, so the need is judged
    against the front at the trial's own size. The index of a trial is its gain per epoch that is
    left to train.

    A new trial is started instead if that is worth more: with v the best index, the R epochs of a
    whole training and the first rung at r, if a new trial is expected to gain more than v for each
    of its r epochs over what v is worth in the R - r that follow, E[(gain - v (R - r))+] > v r.
    The newest trials, as they were at the first rung, stand for it.

    A trial with a chance below 5 % to improve the front waits on. Of all trials, one in ten is
    trained to the end in any case. Until four are, this is successive halving.

    With this rule a study that is stopped and extended is not the same as one that was planned so:
    when no new trial may be started, what waits is trained on instead.

    Args:
        problem: what is searched.
        eta: of successive halving in the beginning.

    References:
        K. Swersky, J. Snoek and R. P. Adams, "Freeze-thaw Bayesian optimization", arXiv 1406.3896,
        2014: to go on or to start anew, by expected gain; here rungs in place of every epoch, and
        no kernel of curves that decay, but a length of the logarithm of the epochs that is learned
        like all others. M. L. Weitzman, "Optimal search for the best alternative", Econometrica,
        1979: what it is worth to look at something new.
    """

    def __init__(self, problem: Problem, eta: int) -> None:
        self._problem = problem
        self._halving = SuccessiveHalving(problem.rungs, eta, problem.objectives)
        self.rungs = self._halving.rungs

    def first_epochs(self, number: int) -> int:
        """See `Fidelity`."""
        return self._halving.first_epochs(number)

    def next_epochs(self, trial: Trial) -> int:
        """See `Fidelity`."""
        return self._halving.next_epochs(trial)

    def promotion(self, trials: Iterable[Trial], may_start: bool = True) -> Trial | None:
        """See `Fidelity`."""
        search = sorted(
            (trial for trial in trials if trial.kind is TrialKind.SEARCH),
            key=lambda trial: trial.number,
        )
        last = self.rungs[-1]
        known = losses(self._problem.objectives, (trial.figures for trial in search))
        sound = [t for t, row in zip(search, known, strict=True) if not np.isnan(row).any()]
        complete = [trial for trial in sound if trial.figures_at(last) is not None]
        if len(self.rungs) == 1 or len(complete) < _FEWEST_COMPLETE:
            return self._halving.promotion(search)
        paused = [trial for trial in sound if trial.state is TrialState.PAUSED]
        if not paused:
            return None
        forecast = _Forecast(self._problem, [trial for trial in search if trial.evaluations])
        left = np.array([last - trial.evaluations[-1].epochs for trial in paused])
        gains, chances = forecast.gains(paused)
        index = np.where(chances >= _LEAST_CHANCE, gains / left, -1.0)
        best = int(index.argmax())
        started = sum(bool(trial.evaluations) for trial in search)
        under_way = sum(
            trial.epochs == last and trial.state in (TrialState.QUEUED, TrialState.RUNNING)
            for trial in search
        )
        if len(complete) + under_way < started // _COMPLETE_SHARE:
            return paused[int((gains / left).argmax())]
        if index[best] <= 0:
            return None
        if may_start:
            first = self.rungs[0]
            newest = [t for t in search if t.figures_at(first) is not None][-_NEWEST:]
            # What diverged has gained nothing.
            alike = [trial for trial in newest if trial in sound]
            would, _ = forecast.before(alike).gains(alike)
            surplus = np.maximum(would - index[best] * (last - first), 0).sum()
            if surplus > index[best] * first * len(newest):
                return None
        return paused[best]


class _Forecast:
    """Losses at the last rung, and what they would add to the front of the complete trials.

    Args:
        problem: what is searched.
        trials: by number, each with a value at least; one has known objectives at the last rung.
    """

    def __init__(self, problem: Problem, trials: Sequence[Trial]) -> None:
        self._problem = problem
        self._numbers = [trial.number for trial in trials]
        trained = {name for trial in trials for done in trial.evaluations for name in done.metrics}
        metrics = [objective.metric for objective in problem.objectives]
        learned = [i for i, metric in enumerate(metrics) if metric in trained] or [0]
        # Whatever is known, one loss is integrated in closed form.
        self._order = learned + [i for i in range(len(metrics)) if i not in learned]
        pool = Pool.of(problem, (Candidate(one.architecture, one.distillation) for one in trials))
        self._candidates = Encoder(problem.domain, pool.logs).columns(pool.units, pool.logs)
        told, targets = [], []
        for index, rung in enumerate(problem.rungs):
            table = self._losses(trials, rung)
            rows = np.flatnonzero(~np.isnan(table).any(axis=1))
            if len(rows):
                self._front = table[rows]
                self._middle = self._front.mean(axis=0)[: len(learned)]
                spread = self._front.std(axis=0)[: len(learned)]
                self._spread = np.maximum(spread, _LEAST_SPREAD)
                targets.append((self._front[:, : len(learned)] - self._middle) / self._spread)
                told += [(row, index) for row in rows]
        self._row, self._rung = np.array(told).T
        columns = self._columns(self._row, self._rung)
        self._processes = [GaussianProcess(columns, loss) for loss in np.concatenate(targets).T]
        worst, best = self._front.max(axis=0), self._front.min(axis=0)
        self._reference = worst + 0.1 * np.maximum(worst - best, _LEAST_SPREAD)

    def before(self, trials: Sequence[Trial]) -> _Forecast:
        """The same, when these trials had finished no more than the first rung."""
        later = np.isin(self._row, self._rows(trials)) & (self._rung > 0)
        other = copy.copy(self)
        other._processes = [process.knowing(~later) for process in self._processes]
        return other

    def gains(self, trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
        """Expected growth of the hypervolume and the chance of any, (n,) each, of n trials."""
        rows = self._rows(trials)
        last = self._columns(rows, np.full(len(rows), len(self._problem.rungs) - 1))
        predicted = [(*process.predict(last), process.noise) for process in self._processes]
        means = np.stack([mean for mean, _, _ in predicted], axis=1) * self._spread + self._middle
        # What a training tells has its noise.
        deviation = np.sqrt(predicted[0][1] ** 2 + predicted[0][2]) * self._spread[0]
        known = losses(self._problem.objectives, (trial.figures for trial in trials))
        exact = known[:, self._order[len(self._processes) :]]
        # A second loss that training tells is taken at its mean.
        others = np.concatenate([means[:, 1:], exact], axis=1)
        logs = log_expected_volume(
            means[:, 0], deviation, others[:, None, :], self._front, self._reference
        )
        better = (self._front[None, :, 1:] <= others[:, None, :]).all(axis=2)
        need = np.where(better, self._front[None, :, 0], math.inf).min(axis=1)
        need = np.minimum(need, self._reference[0])
        return np.exp(logs), ndtr((need - means[:, 0]) / deviation)

    def _rows(self, trials: Sequence[Trial]) -> np.ndarray:
        return np.searchsorted(self._numbers, [trial.number for trial in trials])

    def _columns(self, rows: np.ndarray, rungs: np.ndarray) -> Columns:
        """Candidates at rungs; which trial it is is one more category, when one more number."""
        of = self._candidates[rows]
        logs = np.log(self._problem.rungs)
        when = (logs - logs[0]) / (logs[-1] - logs[0])
        return Columns(
            np.column_stack([of.categories, rows]),
            np.column_stack([of.numbers, when[rungs]]),
            of.features,
        )

    def _losses(self, trials: Sequence[Trial], rung: int) -> np.ndarray:
        """(n, m) losses at a rung, those that training tells first."""
        figures = (trial.figures_at(rung) or {} for trial in trials)
        return losses(self._problem.objectives, figures)[:, self._order]
