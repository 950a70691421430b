"""Which trials may train on: successive halving over a ladder of rungs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from autokd.multiobjective import Objective, crowding_distance, losses, non_dominated_ranks
from autokd.trial import Trial, TrialKind, TrialState


class SuccessiveHalving:
    """Promotes the best share 1 / eta of each rung to the next, without waiting for anyone.

    The rule, for the rungs from the last but one down to the first: of the n trials that finished
    the rung, the best floor(n / eta) may train on; the best paused one among them is promoted. With
    one objective "best" is the value; with several, the non-dominated rank and then the larger
    crowding distance; what is equal goes by trial number. A trial with an objective that is NaN
    or was not measured is behind all others and never promoted.

    Small studies: on its own, this rule brings the first trial to the last of k rungs only when
    eta ** (k - 1) trials have finished the first. So as soon as eta trials have finished the first
    rung, at least one of every rung may train on: the best of them climbs to the top at once, and
    later whoever beats the best at a rung. This costs about one full training per study, and no
    rule for the end of a study is needed. There must be none: the decision depends on the record
    alone and not on how many trials are still to come, so a study that ends at 12 trials and is
    later extended to 30 makes the same decisions as one that was to have 30 from the start.

    Args:
        rungs: epochs at which each rung ends, ascending.
        eta: one of `eta` trials of a rung is promoted; at least 2.
        objectives: what the trials are ranked by.

    References:
        L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht and A.
        Talwalkar, "A system for massively parallel hyperparameter tuning", MLSys 2020 (ASHA): one
        objective. R. Schmucker, M. Donini, M. B. Zafar, D. Salinas and C. Archambeau,
        "Multi-objective asynchronous successive halving", arXiv 2106.12639, 2021: several; of the
        rankings compared there this is the one of NSGA-II, not the epsilon-net. The early climb of
        the first trial is ours.
    """

    def __init__(self, rungs: Sequence[int], eta: int, objectives: Sequence[Objective]) -> None:
        if not rungs or list(rungs) != sorted(set(rungs)) or rungs[0] < 1:
            raise ValueError(f"rungs must be ascending numbers of epochs, got {tuple(rungs)}")
        if eta < 2:
            raise ValueError(f"eta must be at least 2, got {eta}")
        self.rungs = tuple(rungs)
        self.eta = eta
        self.objectives = tuple(objectives)

    def promotion(self, trials: Iterable[Trial]) -> Trial | None:
        """The paused trial to train on next, or None if none may.

        Args:
            trials: the study's record, in any order. Trials of other kinds than SEARCH are ignored.
        """
        search = [trial for trial in trials if trial.kind is TrialKind.SEARCH]
        at_first = len(_finished(search, self.rungs[0]))
        at_least = 1 if at_first >= self.eta else 0
        for rung in reversed(self.rungs[:-1]):
            finished = _finished(search, rung)
            allowed = max(len(finished) // self.eta, at_least)
            for trial in self._best_first(finished, rung)[:allowed]:
                if trial.state is TrialState.PAUSED and trial.evaluations[-1].epochs == rung:
                    return trial
        return None

    def next_epochs(self, trial: Trial) -> int:
        """Epochs at which the rung after the last that the trial finished ends.

        Raises:
            ValueError: the trial has finished the last rung.
        """
        done = trial.evaluations[-1].epochs if trial.evaluations else 0
        for rung in self.rungs:
            if rung > done:
                return rung
        raise ValueError(f"trial {trial.number} has finished the last rung, {self.rungs[-1]}")

    def _best_first(self, trials: Sequence[Trial], rung: int) -> list[Trial]:
        """Those of the trials whose objectives are known at the rung, best first."""
        table = losses(self.objectives, (trial.figures_at(rung) or {} for trial in trials))
        known = np.flatnonzero(~np.isnan(table).any(axis=1))
        competing = [trials[i] for i in known.tolist()]
        ranks = non_dominated_ranks(table[known])
        crowding = np.zeros(len(known))
        for rank in np.unique(ranks):
            crowding[ranks == rank] = crowding_distance(table[known[ranks == rank]])
        order = np.lexsort((np.array([trial.number for trial in competing]), -crowding, ranks))
        return [competing[i] for i in order]


def _finished(trials: Iterable[Trial], rung: int) -> list[Trial]:
    return [t for t in trials if any(rung == evaluation.epochs for evaluation in t.evaluations)]
