"""What a strategy learns from: the trials of the search and their objectives at one rung."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from autokd.multiobjective import losses
from autokd.strategies.base import Problem
from autokd.trial import Trial, TrialKind, TrialState

_FEWEST = 10
"""So many trials are enough for any model, whatever the share."""

_SHARE = 10
"""A model is of the highest rung that at least one in so many trials has finished."""

_LARGEST = 1e100
"""Losses are cut there, so that their squares are numbers."""


@dataclass(frozen=True)
class Observations:
    """The record as tables, in the order of the trials' numbers.

    So that like is compared with like, all values are those at one rung: the highest that enough
    trials have finished, which is max(10, d + 3) for d parameters and at least a tenth of those at
    the rung that most have finished; that rung if none has so many. A trial that was promoted
    further counts with its value at that rung; one of a later bracket may have none there.

    Attributes:
        trials: the n trials of the search.
        rung: epochs at which the rung ends.
        losses: (n, m) values of the m objectives, smaller is better; NaN where one is unknown, and
            of trials that failed.

    References:
        S. Falkner, A. Klein and F. Hutter, "BOHB: robust and efficient hyperparameter optimization
        at scale", ICML 2018: the choice of the rung; the tenth is ours.
    """

    trials: tuple[Trial, ...]
    rung: int
    losses: np.ndarray

    @classmethod
    def of(cls, problem: Problem, trials: Iterable[Trial]) -> Observations:
        """The observations in a record; trials of other kinds than SEARCH are left out."""
        search = tuple(
            sorted(
                (trial for trial in trials if trial.kind is TrialKind.SEARCH),
                key=lambda trial: trial.number,
            )
        )
        tables = {rung: losses_at(problem, search, rung) for rung in problem.rungs}
        known = {rung: int((~np.isnan(table).any(axis=1)).sum()) for rung, table in tables.items()}
        fullest = max(known, key=known.__getitem__)
        enough = max(_FEWEST, len(problem.domain.parameters) + 3, known[fullest] / _SHARE)
        rung = max((rung for rung, n in known.items() if n >= enough), default=fullest)
        return cls(search, rung, tables[rung])

    @property
    def known(self) -> np.ndarray:
        """(n,) booleans: all objectives of the trial are known at the rung."""
        result: np.ndarray = ~np.isnan(self.losses).any(axis=1)
        return result

    @property
    def failed(self) -> np.ndarray:
        """(n,) booleans: the training of the trial came to nothing."""
        failed = [trial.state is TrialState.FAILED for trial in self.trials]
        return np.array(failed, dtype=bool)

    @property
    def pending(self) -> np.ndarray:
        """(n,) booleans: the trial is queued or running and its objectives are not known yet."""
        open_states = (TrialState.QUEUED, TrialState.RUNNING)
        waiting = np.array([trial.state in open_states for trial in self.trials], dtype=bool)
        result: np.ndarray = waiting & ~self.known
        return result


def losses_at(problem: Problem, trials: Sequence[Trial], rung: int) -> np.ndarray:
    """(n, m) losses of n trials at a rung; NaN where not known, and of trials that failed."""
    table = losses(
        problem.objectives,
        (
            {} if trial.state is TrialState.FAILED else trial.figures_at(rung) or {}
            for trial in trials
        ),
    )
    clipped: np.ndarray = np.clip(table, -_LARGEST, _LARGEST)
    return clipped
