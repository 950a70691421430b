"""Which trials may train on: successive halving over a ladder of rungs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from autokd.multiobjective import Objective, best_first, losses
from autokd.trial import Trial, TrialKind, TrialState


class Fidelity(Protocol):
    """Decides how long each trial trains."""

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which each rung ends, ascending."""
        ...

    def first_epochs(self, number: int) -> int:
        """Epochs at which the first rung of the trial of that number ends."""
        ...

    def next_epochs(self, trial: Trial) -> int:
        """Epochs at which the rung after the last that the trial finished ends.

        Raises:
            ValueError: the trial has finished the last rung.
        """
        ...

    def promotion(self, trials: Iterable[Trial], may_start: bool = True) -> Trial | None:
        """The paused trial to train on next, or None if a new one is to be started or none may.

        Args:
            trials: the study's record, in any order. Trials of other kinds than SEARCH are ignored.
            may_start: whether a new trial can be started.
        """
        ...


class SuccessiveHalving:
    """Promotes the best share 1 / eta of each rung to the next, without waiting for anyone.

    The rule, for the rungs from the last but one down to the first: of the n trials that finished
    the rung, the best floor(n / eta) may train on; the best paused one among them is promoted. With
    one objective "best" is the value; with several, the non-dominated rank and then the larger
    crowding distance; what is equal goes by trial number. A trial with an objective that is NaN
    or was not measured is behind all others and never promoted.

    Brackets: what is good after few epochs is not always good after many. A trial of bracket s
    starts at rung s, so that it is not stopped before, and competes with the trials of its bracket
    only. Its number says which bracket that is: the brackets take turns in a fixed cycle, each as
    often as Hyperband's table has it. One bracket is plain successive halving; as many as there are
    rungs are Hyperband, whose last bracket trains everything in full.

    Small studies: on its own, this rule brings the first trial to the last of k rungs only when
    eta ** (k - 1) trials have finished the first. So as soon as eta trials of a bracket have
    finished its first rung, at least one of every rung may train on: the best of them climbs to the
    top at once, and later whoever beats the best at a rung. This costs about one full training per
    bracket, and no rule for the end of a study is needed. There must be none: the decision depends
    on the record alone and not on how many trials are still to come, so a study that ends at 12
    trials and is later extended to 30 makes the same decisions as one that was to have 30 from the
    start.

    Args:
        rungs: epochs at which each rung ends, ascending.
        eta: one of `eta` trials of a rung is promoted; at least 2.
        objectives: what the trials are ranked by.
        brackets: how many brackets take turns, from 1 to the number of rungs.

    References:
        L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht and A.
        Talwalkar, "A system for massively parallel hyperparameter tuning", MLSys 2020 (ASHA): one
        objective. R. Schmucker, M. Donini, M. B. Zafar, D. Salinas and C. Archambeau,
        "Multi-objective asynchronous successive halving", arXiv 2106.12639, 2021: several; of the
        rankings compared there this is the one of NSGA-II, not the epsilon-net. The early climb of
        the first trial is ours. L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh and A. Talwalkar,
        "Hyperband: a novel bandit-based approach to hyperparameter optimization", Journal of
        Machine Learning Research, 2018: brackets. There one follows the other and each is run to
        its end; here they are mixed as evenly as can be, so that a short study has trials of all.
    """

    def __init__(
        self,
        rungs: Sequence[int],
        eta: int,
        objectives: Sequence[Objective],
        brackets: int = 1,
    ) -> None:
        if not rungs or list(rungs) != sorted(set(rungs)) or rungs[0] < 1:
            raise ValueError(f"rungs must be ascending numbers of epochs, got {tuple(rungs)}")
        if eta < 2:
            raise ValueError(f"eta must be at least 2, got {eta}")
        if not 1 <= brackets <= len(rungs):
            raise ValueError(
                f"brackets must be 1 to {len(rungs)}, the number of rungs, got {brackets}"
            )
        self.rungs = tuple(rungs)
        self.eta = eta
        self.objectives = tuple(objectives)
        self.brackets = brackets
        self._cycle = _mixed(hyperband_sizes(len(rungs), eta)[:brackets])

    def bracket(self, number: int) -> int:
        """The bracket of the trial of that number; it starts at the rung of that index."""
        return self._cycle[number % len(self._cycle)]

    def first_epochs(self, number: int) -> int:
        """See `Fidelity`."""
        return self.rungs[self.bracket(number)]

    def promotion(self, trials: Iterable[Trial], may_start: bool = True) -> Trial | None:
        """See `Fidelity`; `may_start` makes no difference.

        Higher rungs come first, and at one rung the brackets that started lower.
        """
        competing: list[list[Trial]] = [[] for _ in range(self.brackets)]
        for trial in sorted(trials, key=lambda trial: trial.number):
            if trial.kind is TrialKind.SEARCH:
                competing[self.bracket(trial.number)].append(trial)
        for index in reversed(range(len(self.rungs) - 1)):
            for first, members in enumerate(competing[: index + 1]):
                promoted = self._promotion(members, first, self.rungs[index])
                if promoted is not None:
                    return promoted
        return None

    def next_epochs(self, trial: Trial) -> int:
        """See `Fidelity`."""
        done = trial.evaluations[-1].epochs if trial.evaluations else 0
        for rung in self.rungs[self.bracket(trial.number) :]:
            if rung > done:
                return rung
        raise ValueError(f"trial {trial.number} has finished the last rung, {self.rungs[-1]}")

    def _promotion(self, members: Sequence[Trial], first: int, rung: int) -> Trial | None:
        """The one to promote from a rung among the trials of the bracket that starts at `first`."""
        finished = _finished(members, rung)
        started = len(_finished(members, self.rungs[first]))
        allowed = max(len(finished) // self.eta, 1 if started >= self.eta else 0)
        table = losses(self.objectives, (trial.figures_at(rung) or {} for trial in finished))
        ranked: list[Trial] = [finished[i] for i in best_first(table)]
        for trial in ranked[:allowed]:
            if trial.state is TrialState.PAUSED and trial.evaluations[-1].epochs == rung:
                return trial
        return None


def hyperband_sizes(rungs: int, eta: int) -> list[int]:
    """How many trials each bracket of Hyperband has, from the one that starts at the first rung.

    This is the table of the paper: floor(k / (j + 1)) * eta ** j trials where j rungs follow the
    first of the bracket's, of k rungs. The paper's pseudocode has ceil(k / (j + 1) * eta ** j),
    which gives other numbers than its table (34, 15 and 8 in place of 27, 9 and 6).
    """
    return [rungs // (j + 1) * eta**j for j in reversed(range(rungs))]


def _mixed(sizes: Sequence[int]) -> tuple[int, ...]:
    """Each index as often as its size, spread evenly: at every place the one most behind."""
    total, often = sum(sizes), np.zeros(len(sizes), dtype=int)
    cycle = []
    for place in range(1, total + 1):
        index = int(np.argmax(place * np.array(sizes) - total * often))
        often[index] += 1
        cycle.append(index)
    return tuple(cycle)


def _finished(trials: Iterable[Trial], rung: int) -> list[Trial]:
    return [t for t in trials if any(rung == evaluation.epochs for evaluation in t.evaluations)]
