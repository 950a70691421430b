"""The strategy that autokd recommends: a model of what is not known, a filter for what is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from autokd.space import Choices
from autokd.strategies.base import Candidate, Problem
from autokd.strategies.bayesian.earlier import EarlierStudy
from autokd.strategies.bayesian.model import Model
from autokd.strategies.bayesian.pool import Pool, all_points, changed, surroundings
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.observations import Observations
from autokd.trial import GAIN, Suggestion, Trial

_ENUMERABLE = 20_000
"""A space of so many points is scored whole."""

_INITIAL = 4
_PARAMETERS_PER_INITIAL = 4

_LEADERS = 5
_POINTS_OF_A_KIND = 100
_CLIMBERS = 3
_CLIMBS = 8
"""Steps of the hill climbing at most."""

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
          change. Where a candidate's cost takes a network to be built, features and cost of the
          surroundings are predicted first, and the best are then costed one after the other.

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
            parameters if that is more. Random, or every second one the best that earlier studies
            know of.
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

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        if observations.known.sum() >= self._initial:
            model = Model(self._problem, observations, rng, self._earlier)
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
        leaders = [_point(self._problem, leader) for leader in model.leaders(_LEADERS)]
        points = surroundings(self._domain, leaders, rng, _POINTS_OF_A_KIND)
        near = filter(finder.is_new, self._candidates(points, rng))
        new = {candidate.point: candidate for candidate in near}
        if len(new) > self._problem.affordable:
            return self._best_affordable(model, list(new.values()), finder)
        return self._uphill(model, filter(finder.accepts, new.values()), finder, rng)

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
        self, model: Model, candidates: Sequence[Candidate], finder: CandidateFinder
    ) -> tuple[Candidate, float] | None:
        """The best of those that look best before what they cost is known.

        If all of these are over budget, one near the least bad of them.
        """
        pool = Pool.unpriced(self._problem, candidates)
        order = np.argsort(-model.guess(pool), kind="stable")[: self._problem.affordable]
        asked = pool[order.tolist()].candidates
        feasible = [one for one in asked if finder.accepts(one)] or [finder.find(asked)]
        return _best(model, Pool.of(self._problem, feasible))

    def _uphill(
        self,
        model: Model,
        start: Iterable[Candidate],
        finder: CandidateFinder,
        rng: np.random.Generator,
    ) -> tuple[Candidate, float] | None:
        """Goes on from the best of the start to better neighbours, as long as there are any."""
        pool = Pool.of(self._problem, start)
        if not len(pool):
            return None
        scores = model.score(pool)
        seen = {candidate.point for candidate in pool.candidates}
        best = np.argsort(-scores, kind="stable")[:_CLIMBERS].tolist()
        here, heights = pool[best].candidates, scores[best]
        for _ in range(_CLIMBS):
            found = {}
            for candidate in here:
                points = changed(self._domain, _point(self._problem, candidate), rng)
                for other in self._candidates(points, rng):
                    if other.point not in seen and finder.accepts(other):
                        found[other.point] = other
                    seen.add(other.point)
            if not found:
                break
            scores = np.concatenate([heights, model.score(Pool.of(self._problem, found.values()))])
            best = np.argsort(-scores, kind="stable")[:_CLIMBERS].tolist()
            before = heights[0]
            everyone = [*here, *found.values()]
            here, heights = [everyone[i] for i in best], scores[best]
            if heights[0] < before + _PROGRESS:
                break
        return here[0], float(heights[0])

    def _candidates(self, points: Iterable[Choices], rng: np.random.Generator) -> list[Candidate]:
        return [self._problem.candidate(point, rng) for point in points]

    @cached_property
    def _whole(self) -> Pool | None:
        """All candidates within the budget, of a small space. Follows from the problem alone."""
        problem = self._problem
        most = 0 if problem.draws else min(_ENUMERABLE, problem.affordable)
        points = all_points(self._domain, most)
        if points is None:
            return None
        every = self._candidates(points, np.random.default_rng(0))
        feasible = [one for one in every if not problem.violations(one.architecture)]
        return Pool.of(problem, feasible)


def _best(model: Model, pool: Pool) -> tuple[Candidate, float] | None:
    if not len(pool):
        return None
    scores = model.score(pool)
    best = int(np.argmax(scores))
    return pool.candidates[best], float(scores[best])


def _point(problem: Problem, candidate: Candidate) -> Choices:
    return problem.join(candidate.architecture.choices, candidate.distillation)
