"""Finding candidates that are within the budget and new.

The budget is known and cheap to check, so it is a filter and never learned. The share of
architectures within it may be as small as 1e-5: refusing random ones is not enough, so the search
also walks from the least bad one, change by change, down to the budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from autokd.budget import excess_in_words
from autokd.errors import NothingFeasibleError
from autokd.space import Choices
from autokd.strategies.base import Candidate, Problem, SpaceExhausted
from autokd.trial import Trial, TrialKind, TrialState

_ROUNDS = 20
_MOST_TIMES_AFFORDABLE = 20
"""No new start is looked for once so many times the affordable were asked for their cost."""
_SAMPLES_PER_ROUND = 200
_POINTS_PER_WALK = 400
_FIRST_STEP = 0.2
"""Standard deviation of a step of a number, as a share of its range."""
_IDLE_STEPS = 3
"""Steps without progress that end a walk; neighbours of numbers are drawn anew at each, nearer."""

_LAST_WALKS = 3
_LAST_IDLE_STEPS = 12
"""Before nothing is said to be feasible: from the nearest that was met, with more patience, as long
as it comes nearer."""


class CandidateFinder:
    """Finds what may be proposed next; made anew for every suggestion.

    A candidate may be proposed if it is within the budget and not in the record. Where
    architectures are draws, a new draw of a known point is a new candidate, but other points are
    preferred as long as they are found.

    Args:
        problem: the domains and the budget.
        trials: the study's record; trials of other kinds than SEARCH are ignored.
        rng: draws everything.
    """

    def __init__(self, problem: Problem, trials: Iterable[Trial], rng: np.random.Generator) -> None:
        self._problem = problem
        self._domain = problem.domain
        self._rng = rng
        search = [trial for trial in trials if trial.kind is TrialKind.SEARCH]
        known = [Candidate(trial.architecture, trial.distillation) for trial in search]
        self._keys = {candidate.key for candidate in known}
        self._points = {candidate.point for candidate in known}
        self._within = [
            candidate
            for candidate, trial in zip(known, search, strict=True)
            if trial.state is not TrialState.INFEASIBLE
        ]
        self._met_feasible = bool(self._within)
        self._excesses: dict[str, float] = {}
        self._least = math.inf
        self._nearest: Candidate | None = None
        self._spare: Candidate | None = None

    def accepts(self, candidate: Candidate) -> bool:
        """Whether the candidate is within the budget and at a point that the record lacks."""
        return self.is_new(candidate) and self._excess(candidate) == 0

    def is_new(self, candidate: Candidate) -> bool:
        """Whether the candidate is at a point that the record lacks."""
        return candidate.point not in self._points

    def first(self, candidates: Iterable[Candidate]) -> Candidate:
        """The first of the candidates that may be proposed; failing all, one near the least bad.

        Asks for no more of them than it needs. Raises like `find`.
        """
        refused = []
        for candidate in candidates:
            if self.accepts(candidate):
                return candidate
            refused.append(candidate)
        return self.find(refused)

    def find(self, refused: Sequence[Candidate] = ()) -> Candidate:
        """A candidate that may be proposed.

        Args:
            refused: candidates that were not accepted; one near the least bad of them is looked
                for first.

        Raises:
            SpaceExhausted: everything within the budget that could be found is in the record.
            NothingFeasibleError: nothing within the budget could be found.
        """
        most = _MOST_TIMES_AFFORDABLE * self._problem.affordable
        found = self._walk(refused) if refused else None
        found = found or self._sample_and_walk() or self._beside_the_record() or self._spare
        for _ in range(_ROUNDS - 1):
            if found is not None or len(self._excesses) >= most:
                break
            found = self._sample_and_walk() or self._spare
        for _ in range(_LAST_WALKS):
            if found is not None or self._met_feasible or self._nearest is None:
                break
            before = self._least
            found = self._walk([self._nearest], _LAST_IDLE_STEPS) or self._spare
            if self._least == before:
                break
        if found is not None:
            return found
        if self._met_feasible:
            raise SpaceExhausted("all that could be found within the budget is in the record")
        raise self._nothing_feasible()

    def _sample_and_walk(self) -> Candidate | None:
        """The first of many uniform points that will do; failing all, a walk from the least bad."""
        refused = []
        for point in self._domain.sample(self._rng, _SAMPLES_PER_ROUND):
            candidate = self._problem.candidate(point, self._rng)
            if self.accepts(candidate):
                return candidate
            refused.append(candidate)
        return self._walk(refused)

    def _beside_the_record(self) -> Candidate | None:
        """One change away from something within the budget that is in the record."""
        tries = 0
        for index in self._rng.permutation(len(self._within)):
            for neighbour in self._neighbours(self._within[index], within=True):
                if not self.is_new(neighbour):
                    continue
                if self.accepts(neighbour):
                    return neighbour
                tries += 1
                if tries == _POINTS_PER_WALK:
                    return None
        return None

    def _walk(self, starts: Sequence[Candidate], patience: int = _IDLE_STEPS) -> Candidate | None:
        """Goes from the least bad start to neighbours that are no worse, until one will do.

        Over budget it takes the first change of the architecture that comes nearer to the budget;
        within the budget it wanders on through what is in the record already.
        """
        # The first start within the budget will do: the cost of the others is not asked for.
        here = next((start for start in starts if self._excess(start) == 0), None)
        here = here or min(starts, key=self._excess)
        excess = self._excess(here)
        seen, idle, step = {here.point}, 0, _FIRST_STEP
        while len(seen) < _POINTS_PER_WALK and idle < patience:
            # Where large steps of numbers lead no further, smaller ones may.
            step = step / 4 if idle else step
            idle += 1
            for neighbour in self._neighbours(here, excess == 0, step):
                if neighbour.point in seen:
                    continue
                seen.add(neighbour.point)
                if self.accepts(neighbour):
                    return neighbour
                # Within the budget what is not new is in the record: no need to ask for its cost.
                if excess == 0 and not self.is_new(neighbour):
                    here, idle = neighbour, 0
                    break
                if self._excess(neighbour) < excess:
                    here, excess, idle = neighbour, self._excess(neighbour), 0
                    break
        return None

    def _neighbours(
        self, candidate: Candidate, within: bool, step: float = _FIRST_STEP
    ) -> Iterator[Candidate]:
        """Candidates one change away, in random order; over budget only other architectures."""
        choices, setting = candidate.architecture.choices, candidate.distillation
        problem, rng = self._problem, self._rng
        changes: list[tuple[Choices, Choices]] = [
            (other, setting) for other in problem.architecture.neighbours(choices, rng, step)
        ]
        if within:
            others = problem.distillation.neighbours(setting, rng, step)
            changes += [(choices, other) for other in others]
        for index in rng.permutation(len(changes)):
            other, taught = changes[index]
            yield Candidate(problem.draw(other, rng), taught)

    def _excess(self, candidate: Candidate) -> float:
        """By how much the candidate exceeds the budget, summed over the limits; 0 if not."""
        key = candidate.architecture.key
        if key not in self._excesses:
            violations = self._problem.violations(candidate.architecture)
            excess = self._excesses[key] = math.fsum(violations.values())
            self._met_feasible |= not violations
            if violations and (self._nearest is None or excess < self._least):
                self._least, self._nearest = excess, candidate
        if self._spare is None and self._excesses[key] == 0 and candidate.key not in self._keys:
            self._spare = candidate
        return self._excesses[key]

    def _nothing_feasible(self) -> NothingFeasibleError:
        nearest = self._problem.violations(self._nearest.architecture) if self._nearest else {}
        return NothingFeasibleError(
            f"expected an architecture within the budget, got none in {len(self._excesses):,} "
            f"that were tried; the nearest has {excess_in_words(nearest)}",
            hint="raise the limit, or let the space hold smaller networks",
        )
