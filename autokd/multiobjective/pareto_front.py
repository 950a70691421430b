"""The Pareto front of a study: the result of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from autokd.budget import Budget, excess_in_words
from autokd.errors import NotFoundError, NothingFeasibleError
from autokd.multiobjective.dominance import is_non_dominated, non_dominated_ranks
from autokd.multiobjective.hypervolume import hypervolume
from autokd.multiobjective.objective import Objective, losses
from autokd.trial import Trial, TrialKind, TrialState


@dataclass(frozen=True)
class ParetoFront:
    """The trials that no other trial beats in every objective.

    Attributes:
        objectives: the axes; the first one orders.
        trials: the front, best first objective first, then by number.
        competing: all trials that the front was chosen from, by number.
    """

    objectives: tuple[Objective, ...]
    trials: tuple[Trial, ...]
    competing: tuple[Trial, ...]

    @classmethod
    def from_trials(cls, trials: Iterable[Trial], objectives: Sequence[Objective]) -> ParetoFront:
        """The front of a study's search trials.

        Only trials that were trained equally long compete: the complete ones or, while there are
        none, those that finished the most epochs so far. A trial with an objective that was not
        measured or is NaN does not compete.
        """
        trained = [t for t in trials if t.kind is TrialKind.SEARCH and t.evaluations]
        table = losses(objectives, (trial.figures for trial in trained))
        competing = np.flatnonzero(_equally_trained(trained, ~np.isnan(table).any(axis=1)))
        front = competing[is_non_dominated(table[competing])]
        return cls(
            objectives=tuple(objectives),
            trials=tuple(sorted((trained[i] for i in front), key=_by(objectives[0]))),
            competing=tuple(sorted((trained[i] for i in competing), key=lambda t: t.number)),
        )

    def hypervolume(self, reference: Sequence[float]) -> float:
        """The volume between the front and a point that is worse in every objective.

        Args:
            reference: a value of each objective, with the sign that users know.
        """
        named = {
            objective.metric: value
            for objective, value in zip(self.objectives, reference, strict=True)
        }
        return hypervolume(
            losses(self.objectives, (trial.figures for trial in self.trials)),
            losses(self.objectives, [named])[0],
        )

    def top(self, k: int) -> tuple[Trial, ...]:
        """The `k` best trials: of the front by the first objective, then of the next front.

        So that with one objective, where the front is one trial, there are runners-up. Fewer than
        `k` if fewer competed.
        """
        if k <= len(self.trials):
            return self.trials[:k]
        table = losses(self.objectives, (trial.figures for trial in self.competing))
        ranks = non_dominated_ranks(table).tolist()
        numbers = [trial.number for trial in self.competing]
        order = sorted(range(len(ranks)), key=lambda i: (ranks[i], table[i, 0], numbers[i]))
        return tuple(self.competing[i] for i in order[:k])

    def best(self, budget: Budget | None = None) -> Trial:
        """The trial with the best first objective among those within a budget.

        Args:
            budget: limits of the student; None for no others than the study's.

        Raises:
            NotFoundError: no trial has finished yet.
            NothingFeasibleError: no finished trial is within the budget; names the nearest.
        """
        if not self.competing:
            raise NotFoundError(
                "no trial has finished with all its objectives measured",
                hint="let the search go on",
            )
        over = [budget.violations(trial.cost) if budget else {} for trial in self.competing]
        feasible = [trial for trial, excess in zip(self.competing, over, strict=True) if not excess]
        if not feasible:
            nearest = int(np.argmin([max(excess.values()) for excess in over]))
            raise NothingFeasibleError(
                f"expected a finished trial within the budget, got {len(over)} over it; the "
                f"nearest, trial {self.competing[nearest].number}, has "
                f"{excess_in_words(over[nearest])}",
                hint="search again with this budget, or raise the limit",
            )
        return min(feasible, key=_by(self.objectives[0]))


def _by(objective: Objective) -> Callable[[Trial], tuple[float, int]]:
    """Sorts the best trials to the front, the older of equals first."""
    return lambda trial: (objective.loss(trial.figures), trial.number)


def _equally_trained(trials: Sequence[Trial], known: np.ndarray) -> np.ndarray:
    """Which of the `known` trials are complete or, if none is, have finished the most epochs."""
    states = [trial.state for trial in trials]
    complete: np.ndarray = known & np.array(
        [state is TrialState.COMPLETE for state in states], dtype=bool
    )
    if complete.any():
        return complete
    alive = known & np.array([state is not TrialState.FAILED for state in states], dtype=bool)
    epochs = np.array([trial.evaluations[-1].epochs for trial in trials], dtype=int)
    longest: np.ndarray = alive & (epochs == epochs[alive].max(initial=0))
    return longest
