"""Which trials may train on, by what their learning curves promise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from autokd.multiobjective import losses
from autokd.strategies.base import Candidate, Problem
from autokd.strategies.bayesian.acquisition import log_expected_volume
from autokd.strategies.bayesian.columns import Columns, Encoder
from autokd.strategies.bayesian.gaussian_process import FIT_ROWS, GaussianProcess
from autokd.strategies.bayesian.pool import Pool
from autokd.strategies.halving import SuccessiveHalving
from autokd.strategies.observations import losses_at
from autokd.trial import Trial, TrialKind, TrialState

_FEWEST_COMPLETE = 4
"""Trials that must have reached the last rung before curves are predicted."""

_COMPLETE_SHARE = 10
"""One trial in so many is trained to the end whatever it promises, to keep the prediction true."""

_LEAST_CHANCE = 0.05
"""A trial that improves the front with a smaller probability is not trained on."""

_NEWEST = 20
"""So many of the newest trials stand for what a new one would be."""

_GROUPS = 4
"""Of the newest; what one does not know of its own end, it does not know of its group's."""

_PRIOR_PAIRS = 2.0
"""Pairs of values without any correlation that a step of the curves is believed to have shown."""

_MARGIN = 0.1
"""The volume reaches beyond the worst complete trial by so much of the extent."""

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
        self._newest: tuple[object, _Forecast] | None = None

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
        alive = [trial for trial in search if trial.state is not TrialState.FAILED]
        known = losses(self._problem.objectives, (trial.figures for trial in alive))
        sound = [t for t, row in zip(alive, known, strict=True) if not np.isnan(row).any()]
        complete = [trial for trial in sound if trial.figures_at(last) is not None]
        if len(self.rungs) == 1 or len(complete) < _FEWEST_COMPLETE:
            return self._halving.promotion(search)
        paused = [trial for trial in sound if trial.state is TrialState.PAUSED]
        if not paused:
            return None
        forecast = self._forecast([trial for trial in search if trial.evaluations])
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
            surplus = np.maximum(forecast.gains_of_new - index[best] * (last - first), 0).mean()
            if surplus > index[best] * first:
                return None
        return paused[best]

    def _forecast(self, trials: Sequence[Trial]) -> _Forecast:
        """Made anew only when there is something new to learn from."""
        key = tuple((t.number, len(t.evaluations), t.state is TrialState.FAILED) for t in trials)
        if self._newest is None or self._newest[0] != key:
            self._newest = key, _Forecast(self._problem, trials)
        return self._newest[1]


class _Forecast:
    """Losses at the last rung, and what they would add to the front of the complete trials.

    Args:
        problem: what is searched.
        trials: each with an evaluation; one has known objectives at the last rung.
    """

    def __init__(self, problem: Problem, trials: Sequence[Trial]) -> None:
        self._problem = problem
        self._trials = trials
        self._row = {trial.number: row for row, trial in enumerate(trials)}
        trained = {name for trial in trials for done in trial.evaluations for name in done.metrics}
        metrics = [objective.metric for objective in problem.objectives]
        # Whatever is known, one loss is integrated in closed form.
        learned = [i for i, metric in enumerate(metrics) if metric in trained] or [0]
        self._exact = [i for i in range(len(metrics)) if i not in learned]
        tables = [losses_at(problem, trials, rung) for rung in problem.rungs]
        known = [~np.isnan(table).any(axis=1) for table in tables]
        self._front = tables[-1][known[-1]][:, learned + self._exact]
        worst, best = self._front.max(axis=0), self._front.min(axis=0)
        self._reference = worst + _MARGIN * np.maximum(worst - best, _LEAST_SPREAD)
        curves = [table[:, learned] for table in tables]
        scales = _scales(curves, known)
        self._middle, self._spread, self._error = scales[-1]
        parts = [
            (curve[rows] - middle) / spread
            for curve, rows, (middle, spread, _) in zip(curves, known, scales, strict=True)
        ]
        rung, of = np.nonzero(known)
        # Hyper-parameters are learned from the longest curves, if there are more than they take.
        order = np.lexsort((of, -np.bincount(of)[of]))
        self._rung, self._of, targets = rung[order], of[order], np.concatenate(parts)[order]
        self._candidates = _encoded(problem, trials)
        columns = self._columns(self._of, self._rung)
        self._processes = [
            GaussianProcess(columns[:FIT_ROWS], target[:FIT_ROWS]).given(
                columns[FIT_ROWS:], target[FIT_ROWS:]
            )
            for target in targets.T
        ]

    def gains(self, trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
        """Expected growth of the hypervolume and the chance of any, (n,) each, of n trials."""
        return self._gains(self._processes, [self._row[trial.number] for trial in trials])

    @cached_property
    def gains_of_new(self) -> np.ndarray:
        """(n,) expected growths by the newest trials, as they were after the first rung."""
        newest = np.unique(self._of[self._rung == 0])[-_NEWEST:]
        if not len(newest):
            return np.zeros(1)
        # A few at a time: of the others' ends a new one knows.
        groups = [newest[start::_GROUPS] for start in range(min(_GROUPS, len(newest)))]
        return np.concatenate([self._gains(self._before(rows), rows)[0] for rows in groups])

    def _before(self, rows: np.ndarray) -> list[GaussianProcess]:
        """The processes when these trials had finished no more than the first rung."""
        told = ~np.isin(self._of, rows) | (self._rung == 0)
        return [process.knowing(told) for process in self._processes]

    def _gains(
        self, processes: Sequence[GaussianProcess], rows: Sequence[int] | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.asarray(rows)
        last = self._columns(rows, np.full(len(rows), len(self._problem.rungs) - 1))
        predicted = [process.predict(last) for process in processes]
        means = np.stack([mean for mean, _ in predicted], axis=1) * self._spread + self._middle
        # What a training tells has its noise; and by how much all are wrong together.
        variance = (predicted[0][1] ** 2 + processes[0].noise) * self._spread[0] ** 2
        deviation = np.sqrt(variance + self._error[0] ** 2)
        figures = (self._trials[row].figures for row in rows)
        exact = losses(self._problem.objectives, figures)[:, self._exact]
        # A second loss that training tells is taken at its mean.
        others = np.concatenate([means[:, 1:], exact], axis=1)
        logs = log_expected_volume(
            means[:, 0], deviation, others[:, None, :], self._front, self._reference
        )
        better = (self._front[None, :, 1:] <= others[:, None, :]).all(axis=2)
        need = np.where(better, self._front[None, :, 0], math.inf).min(axis=1)
        need = np.minimum(need, self._reference[0])
        return np.exp(logs), ndtr((need - means[:, 0]) / deviation)

    def _columns(self, rows: np.ndarray, rungs: np.ndarray) -> Columns:
        """Candidates at rungs.

        When is one more number. Which trial it is, is one more category: what is its own is told
        from what all of its kind have.
        """
        of = self._candidates[rows]
        logs = np.log(self._problem.rungs)
        when = (logs - logs[0]) / (logs[-1] - logs[0])
        return Columns(
            np.column_stack([of.categories, rows]),
            np.column_stack([of.numbers, when[rungs]]),
            of.features,
        )


def _encoded(problem: Problem, trials: Sequence[Trial]) -> Columns:
    """The trials' candidates, with the costs that are in the record."""
    candidates = [Candidate(trial.architecture, trial.distillation) for trial in trials]
    costs = [trial.cost.figures() for trial in trials]
    names = sorted(set.intersection(*map(set, costs)) - problem.hidden)
    figures = np.array([[cost[name] for name in names] for cost in costs], dtype=float)
    units = Pool.unpriced(problem, candidates).units
    pool = Pool(candidates, units, figures.reshape(len(trials), len(names)), tuple(names))
    return Encoder(problem.domain, pool.logs).columns(pool.units, pool.logs)


def _scales(curves: Sequence[np.ndarray], known: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the losses of all trials would be at each rung, did all train on.

    Those that do are chosen, so each rung is told from the one before by linear regression.

    Args:
        curves: (n, l) losses at each rung.
        known: (n,) booleans for each rung.

    Returns:
        For each rung (3, l): means, standard deviations, and those of the errors of the means.
    """
    first = next(curve[rows] for curve, rows in zip(curves, known, strict=True) if rows.any())
    none = np.zeros(first.shape[1])
    scales = [np.stack([first.mean(axis=0), np.maximum(first.std(axis=0), _LEAST_SPREAD), none])]
    for index in range(1, len(curves)):
        both = known[index - 1] & known[index]
        if not both.any():
            scales.append(scales[-1])
            continue
        before, after = curves[index - 1][both], curves[index][both]
        middle, spread, error = scales[-1]
        pairs, away = len(before), middle - before.mean(axis=0)
        apart, rest = before - before.mean(axis=0), after - after.mean(axis=0)
        squares = np.maximum((apart**2).sum(axis=0), _LEAST_SPREAD**2) * (1 + _PRIOR_PAIRS / pairs)
        slope = (apart * rest).sum(axis=0) / squares
        left = ((rest - slope * apart) ** 2).mean(axis=0)
        doubt = left * (1 / pairs + away**2 / squares)
        scales.append(
            np.stack(
                [
                    after.mean(axis=0) + slope * away,
                    np.maximum(np.sqrt((slope * spread) ** 2 + left), _LEAST_SPREAD),
                    np.sqrt((slope * error) ** 2 + doubt),
                ]
            )
        )
    return scales
