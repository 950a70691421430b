"""The strategy that autokd recommends: a model of what is not known, a filter for what is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property, partial

import numpy as np

from autokd.multiobjective import Objective, losses
from autokd.space import Choices
from autokd.strategies.base import Candidate, Problem
from autokd.strategies.bayesian.costs import MOST_ROWS, PredictedCosts, from_anywhere
from autokd.strategies.bayesian.earlier import EarlierStudy
from autokd.strategies.bayesian.model import Model, Reach
from autokd.strategies.bayesian.pool import Pool, all_points, changed, surroundings
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.observations import Observations
from autokd.trial import GAIN, Suggestion, Trial

_ENUMERABLE = 20_000
"""A space of so many points is scored whole."""

_INITIAL = 4
_PARAMETERS_PER_INITIAL = 4
_FEWEST_KNOWN = 2
"""So many of the initial candidates must have a value; the others may still run."""

_LEADERS = 5
_POINTS_OF_A_KIND = 100
_CLIMBERS = 3
_CLIMBS = 8
"""Steps of the hill climbing at most."""

_ROUNDS_OF_COSTS = 4
"""A round asks one in so many of what may be asked, and learns from those before."""

_PROMISING = 300
"""So many others, the best by prediction, are left after each round."""

_PROGRESS = 1e-3
"""A step that adds less to the logarithm of the expected improvement is the last."""


class BayesianSearch:
    """Bayesian optimisation that keeps to the budget by checking it.

    Each unknown objective is modelled by a `GaussianProcess` on choices, settings and free
    features: the logarithms of what a candidate is known to cost, but for what the budget limits.
    Of that the best have as much as they may; as an input it would explain what they owe to the
    parts that it is spent on. The next candidate is the one that is expected to improve the front
    most, among those that are within the budget and new:

        - in a space of up to 20,000 points, of all;
        - else of the surroundings of the best and some from anywhere, and then uphill, change by
          change.

    Where a candidate's cost takes a network to be built, few are asked: all others are scored with
    predicted costs (`PredictedCosts`) and with the chance that these are within the limits.

    As long as there are fewer than 20 trials for each objective, the expectation is an average over
    processes whose hyper-parameters are drawn from what is probable, of targets that are half
    ranks; then there is one, with the most probable, of values.
    An objective that is known without training (parameters, memory) is not modelled. What still
    runs counts with values drawn from the model. Once a training has failed, the chance of success
    is modelled too, and the expected improvement is multiplied by it. Each proposal notes its
    expected gain (`autokd.trial.GAIN`).

    Args:
        problem: what is searched.
        initial: candidates before the first model, at least 2; by default 4, or a quarter of the
            parameters if that is more. Two of them must have a value, the others may still run.
            Random, or every second one the best that earlier studies know of.
        earlier: records of earlier studies, of this space or another, this teacher or another.

    References:
        D. R. Jones, M. Schonlau and W. J. Welch, "Efficient global optimization of expensive
        black-box functions", Journal of Global Optimization, 1998. What differs is said in
        `GaussianProcess` and `log_expected_volume`.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        initial: int | None = None,
        earlier: Sequence[Sequence[Trial]] = (),
    ) -> None:
        if initial is None:
            varied = sum(not one.single() for one in problem.domain.parameters.values())
            initial = max(_INITIAL, varied // _PARAMETERS_PER_INITIAL)
        if initial < 2:
            raise ValueError(f"expected initial >= 2, got {initial}")
        self._problem = problem
        self._domain = problem.domain
        self._initial = initial
        self._records = earlier
        self._reaches: dict[str, Reach] = {}

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        begun = (observations.known | observations.pending).sum() >= self._initial
        if begun and observations.known.sum() >= _FEWEST_KNOWN:
            model = Model(self._problem, observations, self._reach, rng, self._earlier)
            best = self._most_promising(model, finder, rng)
            if best is not None:
                candidate, score = best
                notes = {GAIN: model.gain(score)}
                return Suggestion(candidate.architecture, candidate.distillation, notes)
        elif len(observations.trials) % 2 == 0:
            known = self._best_of_earlier(finder, rng)
            if known is not None:
                return Suggestion(known.architecture, known.distillation)
        candidate = finder.find()
        return Suggestion(candidate.architecture, candidate.distillation)

    def _most_promising(
        self, model: Model, finder: CandidateFinder, rng: np.random.Generator
    ) -> tuple[Candidate, float] | None:
        """What is expected to improve the front most, with its score; None if none was found."""
        if self._whole is not None:
            rows = [i for i, one in enumerate(self._whole.candidates) if finder.is_new(one)]
            return _best(model, self._whole[rows])
        if self._every is not None:
            new = list(filter(finder.is_new, self._every))
            return self._best_affordable(model, new, finder, None)
        leaders = [_point(self._problem, leader) for leader in model.leaders(_LEADERS)]
        points = surroundings(self._domain, leaders, rng, _POINTS_OF_A_KIND)
        near = filter(finder.is_new, self._candidates(points, rng))
        new = list({candidate.point: candidate for candidate in near}.values())
        if len(new) > self._problem.affordable:
            return self._best_affordable(model, new, finder, rng)
        priced = partial(Pool.of, self._problem)
        within = priced(filter(finder.accepts, new))
        if not len(within):
            return None
        return _highest(*self._uphill(within, priced, model.score, finder.accepts, rng))

    def _best_of_earlier(
        self, finder: CandidateFinder, rng: np.random.Generator
    ) -> Candidate | None:
        """The best that earlier studies know of and this one may still try; None if nothing."""
        ranks = itertools.zip_longest(*(study.best for study in self._earlier))
        points = (point for rank in ranks for point in rank if point is not None)
        complete = (self._domain.complete(point, rng) for point in points)
        few = itertools.islice(complete, self._problem.affordable)
        return next(filter(finder.accepts, self._candidates(few, rng)), None)

    @cached_property
    def _earlier(self) -> list[EarlierStudy]:
        """Follows from the problem and the other records alone."""
        if not self._records:
            return []
        rng = np.random.default_rng(0)
        anyone = self._problem.candidate(self._domain.sample(rng)[0], rng)
        names = sorted(self._problem.figures(anyone.architecture))
        return [EarlierStudy(self._problem, names, trials) for trials in self._records]

    def _best_affordable(
        self,
        model: Model,
        start: Sequence[Candidate],
        finder: CandidateFinder,
        rng: np.random.Generator | None,
    ) -> tuple[Candidate, float] | None:
        """The best of those that look best before what they cost is known.

        A few are asked at a time, until none of the others looks better: what some cost says what
        others may, and where to climb. If all are over budget, one near the least bad of them.

        Args:
            model: scores them.
            start: candidates that are new.
            finder: tells what is within the budget.
            rng: draws the steps of the climbing; None if the start is all there is.
        """
        few = max(self._problem.affordable // _ROUNDS_OF_COSTS, 1)
        unpriced = partial(Pool.unpriced, self._problem)
        left, costs = unpriced(start), self._costs.given(model.trained.last(MOST_ROWS))
        asked: dict[Hashable, Candidate] = {}
        best = None

        def may_be_asked(one: Candidate) -> bool:
            return one.point not in asked and finder.is_new(one)

        while len(asked) + few <= self._problem.affordable:
            guess = partial(model.guess, costs=costs)
            if rng is None:
                guesses = guess(left)
            else:
                left, guesses = self._uphill(left, unpriced, guess, may_be_asked, rng)
            order = np.argsort(-guesses, kind="stable")
            if not len(order) or (best is not None and guesses[order[0]] <= best[1]):
                break
            priced = Pool.of(self._problem, left[order[:few]].candidates)
            costs = costs.given(priced)
            asked.update((candidate.point, candidate) for candidate in priced.candidates)
            within = [i for i, one in enumerate(priced.candidates) if finder.accepts(one)]
            found = _best(model, priced[within])
            if found is not None and (best is None or found[1] > best[1]):
                best = found
            left = left[order[few : few + _PROMISING]]
        return best or _best(model, Pool.of(self._problem, [finder.find(list(asked.values()))]))

    def _uphill(
        self,
        found: Pool,
        pool_of: Callable[[Sequence[Candidate]], Pool],
        score: Callable[[Pool], np.ndarray],
        allowed: Callable[[Candidate], bool],
        rng: np.random.Generator,
    ) -> tuple[Pool, np.ndarray]:
        """The candidates, and what was met on the way from the best of them to better neighbours.

        Returns:
            Candidates and their scores.
        """
        scores = score(found)
        seen = {candidate.point for candidate in found.candidates}
        for _ in range(_CLIMBS):
            beside = {}
            for row in np.argsort(-scores, kind="stable")[:_CLIMBERS]:
                points = changed(self._domain, _point(self._problem, found.candidates[row]), rng)
                for other in self._candidates(points, rng):
                    if other.point not in seen and allowed(other):
                        beside[other.point] = other
                    seen.add(other.point)
            if not beside:
                break
            further = pool_of(list(beside.values()))
            before = scores.max()
            found = found.join(further)
            scores = np.concatenate([scores, score(further)])
            if scores.max() < before + _PROGRESS:
                break
        return found, scores

    @cached_property
    def _costs(self) -> PredictedCosts:
        return PredictedCosts(self._problem, self._anywhere)

    @cached_property
    def _anywhere(self) -> Pool:
        return from_anywhere(self._problem)

    def _reach(self, objective: Objective) -> Reach:
        """How far an objective that is known without training goes within the budget.

        Where not all candidates can be looked at, it is its limit, if some of 200 exceed that;
        failing that, as far as those of them that are within the budget.
        """
        if objective.metric not in self._reaches:
            self._reaches[objective.metric] = self._look_for_reach(objective)
        return self._reaches[objective.metric]

    def _look_for_reach(self, objective: Objective) -> Reach:
        problem, pool = self._problem, self._anywhere if self._whole is None else self._whole
        limit = problem.limits.get(objective.metric, math.inf)
        figures = pool.as_figures()
        over = any(one[objective.metric] > limit for one in figures)
        if over and objective.direction == "minimize":
            return Reach(limit, is_end=True)
        within = [not problem.violations(one.architecture) for one in pool.candidates]
        found = losses([objective], itertools.compress(figures, within))
        return Reach(np.fmax.reduce(found, axis=None, initial=np.nan), self._whole is not None)

    def _candidates(self, points: Iterable[Choices], rng: np.random.Generator) -> list[Candidate]:
        return [self._problem.candidate(point, rng) for point in points]

    @cached_property
    def _every(self) -> list[Candidate] | None:
        """All candidates of a small space. Follows from the problem alone, like `_whole`."""
        points = all_points(self._domain, 0 if self._problem.draws else _ENUMERABLE)
        return None if points is None else self._candidates(points, np.random.default_rng(0))

    @cached_property
    def _whole(self) -> Pool | None:
        """All of them that are within the budget, where that can be asked."""
        problem = self._problem
        if self._every is None or len(self._every) > problem.affordable:
            return None
        feasible = [one for one in self._every if not problem.violations(one.architecture)]
        return Pool.of(problem, feasible)


def _best(model: Model, pool: Pool) -> tuple[Candidate, float] | None:
    return _highest(pool, model.score(pool)) if len(pool) else None


def _highest(pool: Pool, scores: np.ndarray) -> tuple[Candidate, float]:
    best = int(np.argmax(scores))
    return pool.candidates[best], float(scores[best])


def _point(problem: Problem, candidate: Candidate) -> Choices:
    return problem.join(candidate.architecture.choices, candidate.distillation)
