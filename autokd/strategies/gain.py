"""Which trials may train on, by what their learning curves promise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from autokd.multiobjective import Objective, losses
from autokd.strategies.bayesian.acquisition import log_expected_volume
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

_PRIOR_PAIRS = 2.0
"""Pairs of values without any correlation that a step of the curves is believed to have shown."""


class GainPerEpoch:
    """Trains on what is expected to improve the front most per epoch: a trial that waits, or none.

    A trial's loss at the last rung is predicted from the one at its newest: each step from rung to
    rung is a linear regression over the trials that made it, and the steps are chained. Its gain is
    the expected growth of the front's hypervolume, all that is known without training (its size)
    taken as it is, so the need is judged against the front at the trial's own size. The index of a
    trial is its gain per epoch that is left to train.

    A new trial is started instead if that is worth more: with v the best index, the R epochs of a
    whole training and the first rung at r, if a new trial is expected to gain more than v for each
    of its r epochs over what v is worth in the R - r that follow, E[(gain - v (R - r))+] > v r.
    The newest trials, as they were at the first rung, stand for it.

    A trial with a chance below 5 % to improve the front waits on. Of all trials, one in ten is
    trained to the end in any case. Until four are, this is successive halving.

    With this rule a study that is stopped and extended is not the same as one that was planned so:
    when no new trial may be started, what waits is trained on instead.

    Args:
        rungs: epochs at which each rung ends, ascending.
        eta: of successive halving in the beginning.
        objectives: axes of the front.

    References:
        K. Swersky, J. Snoek and R. P. Adams, "Freeze-thaw Bayesian optimization", arXiv 1406.3896,
        2014: to go on or to start anew, by expected gain; here rungs in place of every epoch and
        regressions in place of a process over curves. M. L. Weitzman, "Optimal search for the best
        alternative", Econometrica, 1979: what it is worth to look at something new.
    """

    def __init__(self, rungs: Sequence[int], eta: int, objectives: Sequence[Objective]) -> None:
        self._halving = SuccessiveHalving(rungs, eta, objectives)
        self.rungs = self._halving.rungs
        self.objectives = tuple(objectives)

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
        complete = [trial for trial in search if trial.figures_at(last) is not None]
        if len(self.rungs) == 1 or len(complete) < _FEWEST_COMPLETE:
            return self._halving.promotion(search)
        paused = [t for t in search if t.state is TrialState.PAUSED and t.evaluations]
        if not paused:
            return None
        forecast = _Forecast(self.rungs, self.objectives, search, complete)
        left = np.array([last - trial.evaluations[-1].epochs for trial in paused])
        gains, chances = forecast.gains([(trial, trial.evaluations[-1].epochs) for trial in paused])
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
            alike = [(t, first) for t in search if t.figures_at(first) is not None][-_NEWEST:]
            would, _ = forecast.gains(alike)
            surplus = np.maximum(would - index[best] * (last - first), 0).mean()
            if surplus > index[best] * first:
                return None
        return paused[best]


@dataclass(frozen=True)
class _Step:
    """A loss at one rung told from that at the rung before, both standardised."""

    middle: tuple[float, float]
    spread: tuple[float, float]
    slope: float
    variance: float
    count: int

    @classmethod
    def of(cls, before: np.ndarray, after: np.ndarray) -> _Step:
        spread = max(float(before.std()), 1e-12), max(float(after.std()), 1e-12)
        x, y = (before - before.mean()) / spread[0], (after - after.mean()) / spread[1]
        n = len(x)
        slope = float(x @ y) / (n + _PRIOR_PAIRS)
        rest = float(((y - slope * x) ** 2).sum() + _PRIOR_PAIRS) / (n + _PRIOR_PAIRS)
        return cls((float(before.mean()), float(after.mean())), spread, slope, rest, n)

    def forward(self, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance after the step, from those before it."""
        x = (mean - self.middle[0]) / self.spread[0]
        unsure = self.variance * (1 + 1 / self.count + x**2 / (self.count + _PRIOR_PAIRS))
        carried = self.slope**2 * variance / self.spread[0] ** 2
        return (
            self.middle[1] + self.slope * x * self.spread[1],
            (unsure + carried) * self.spread[1] ** 2,
        )


class _Forecast:
    """Losses at the last rung, and what they would add to the front of the complete trials."""

    def __init__(
        self,
        rungs: Sequence[int],
        objectives: Sequence[Objective],
        search: Sequence[Trial],
        complete: Sequence[Trial],
    ) -> None:
        self._rungs = rungs
        self._objectives = objectives
        trained = {name for trial in search for done in trial.evaluations for name in done.metrics}
        learned = [i for i, objective in enumerate(objectives) if objective.metric in trained]
        # Whatever is known, one loss is integrated in closed form.
        self._order = (learned or [0]) + [i for i in range(len(objectives)) if i not in learned]
        self._learned = len(learned)
        tables = [self._table(search, rung) for rung in rungs]
        self._steps = [
            [self._step(before[:, column], after[:, column]) for column in range(self._learned)]
            for before, after in zip(tables, tables[1:], strict=False)
        ]
        table = self._table(complete, rungs[-1])
        self._front = table[~np.isnan(table).any(axis=1)]
        worst, best = self._front.max(axis=0), self._front.min(axis=0)
        self._reference = worst + 0.1 * np.maximum(worst - best, 1e-12)

    def _table(self, trials: Sequence[Trial], rung: int) -> np.ndarray:
        """(n, m) losses at a rung, those that training tells first."""
        figures = (trial.figures_at(rung) or {} for trial in trials)
        return losses(self._objectives, figures)[:, self._order]

    @staticmethod
    def _step(before: np.ndarray, after: np.ndarray) -> _Step:
        both = ~np.isnan(before) & ~np.isnan(after)
        return _Step.of(before[both], after[both])

    def gains(self, trials: Sequence[tuple[Trial, int]]) -> tuple[np.ndarray, np.ndarray]:
        """Expected growth of the hypervolume and the chance of any, of trials at a rung each."""
        rows = np.concatenate([self._table([trial], rung) for trial, rung in trials])
        means, variances = rows[:, : self._learned].copy(), np.zeros((len(rows), self._learned))
        at = np.array([self._rungs.index(rung) for _, rung in trials])
        for index, steps in enumerate(self._steps):
            passing = at <= index
            for column, step in enumerate(steps):
                means[passing, column], variances[passing, column] = step.forward(
                    means[passing, column], variances[passing, column]
                )
        deviations = np.sqrt(np.maximum(variances, 1e-24))
        others = np.concatenate([means[:, 1:], rows[:, self._learned :]], axis=1)
        # A second loss that training tells is taken at its mean.
        logs = log_expected_volume(
            means[:, 0], deviations[:, 0], others[:, None, :], self._front, self._reference
        )
        better = (self._front[None, :, 1:] <= others[:, None, :]).all(axis=2)
        need = np.where(better, self._front[None, :, 0], math.inf).min(axis=1)
        need = np.minimum(need, self._reference[0])
        return np.exp(logs), ndtr((need - means[:, 0]) / deviations[:, 0])
