"""Evolution in which the old die: one change of a good network of late."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autokd.multiobjective import best_first
from autokd.strategies.base import Candidate, Problem
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.observations import Observations
from autokd.trial import Suggestion, Trial, TrialState


class RegularizedEvolution:
    """Changes one thing in the best of a few members of a population that ages.

    The population are the youngest trials whose objectives are known, however good the older ones
    were. Some of them are drawn, and the best drawn one is the parent. Its child differs in one
    choice: another category, or one normal step of a number. As long as the record has fewer trials
    than the population, not counting those that failed, points are uniform.

    The population size and the sample size are those of a search of about 100 trials: 20 leave
    four fifths of the trials to evolution, and the published ratio of 4 to 1 keeps the pressure of
    selection. A search of thousands wants the published 100 and 25.

    Args:
        problem: what is searched.
        population: how many trials live; at least 1.
        sample: how many of them are drawn for one parent, with replacement; at least 1.

    References:
        E. Real, A. Aggarwal, Y. Huang and Q. V. Le, "Regularized evolution for image classifier
        architecture search", AAAI 2019. Here age is the trial's number, which does not depend on
        when a worker ends; with several objectives the best has the lowest non-dominated rank and
        then the most room, as in NSGA-II; children are within the budget and never repeat a point;
        and the identity mutation is left out, since a repeat teaches nothing new.
    """

    def __init__(self, problem: Problem, population: int = 20, sample: int = 5) -> None:
        if population < 1 or sample < 1:
            raise ValueError(
                f"expected a population and a sample of at least 1, got {population} and {sample}"
            )
        self._problem = problem
        self._population = population
        self._sample = sample

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        lost = (TrialState.FAILED, TrialState.INFEASIBLE)
        begun = sum(trial.state not in lost for trial in observations.trials) >= self._population
        if begun and observations.known.any():
            candidate = self._child(self._parent(observations, rng), finder, rng)
        else:
            candidate = finder.find()
        return Suggestion(candidate.architecture, candidate.distillation)

    def _parent(self, observations: Observations, rng: np.random.Generator) -> Trial:
        """The winner of one tournament among the youngest trials; of equals the younger."""
        alive = np.flatnonzero(observations.known)[: -self._population - 1 : -1]
        drawn = rng.integers(len(alive), size=self._sample)
        best = best_first(observations.losses[alive]).tolist()
        winner = next(member for member in best if member in drawn)
        return observations.trials[int(alive[winner])]

    def _child(self, parent: Trial, finder: CandidateFinder, rng: np.random.Generator) -> Candidate:
        """A neighbour of the parent that may be proposed, or what is nearest to one."""
        point = self._problem.join(parent.architecture.choices, parent.distillation)
        neighbours = self._problem.domain.neighbours(point, rng)
        return finder.first(
            self._problem.candidate(neighbours[index], rng)
            for index in rng.permutation(len(neighbours))
        )
