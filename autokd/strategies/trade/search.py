"""Trust-region Bayesian optimisation over the families of a search space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from optuna.distributions import CategoricalDistribution

from autokd.space import Choices
from autokd.strategies.base import Candidate, Problem
from autokd.strategies.bayesian.acquisition import log_expected_improvement
from autokd.strategies.bayesian.columns import Columns, Encoder
from autokd.strategies.bayesian.costs import MOST_ROWS, PredictedCosts, from_anywhere
from autokd.strategies.bayesian.pool import Pool
from autokd.strategies.bayesian.targets import part_rank
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.observations import Observations
from autokd.strategies.trade.model import NoModelError, Surrogate, seeded
from autokd.strategies.trade.region import NOTES, Axes, Neighbourhood, TrustRegion
from autokd.trial import FailureClass, Suggestion, Trial, TrialState

Acquisition = Literal["log_ei", "thompson"]

_POINTS = 500
_LEAST_POINTS = 50
"""Points that are drawn in all regions together, and in each of them at least."""

_CLIMBERS = 3
_CLIMBS = 3
_STEPS = (0.5, 0.1)
"""Standard deviations of the climbers' steps of numbers, as shares of half the region's length."""

_LIKELY = math.log(0.15)
"""What is less likely within the limits is not asked what it costs, where few may be."""

_CONFIDENCE = 1.96
_RHO = 0.05


class TRADE:
    """Bayesian optimisation within trust regions, one for each family of architectures.

    The families are the categories of the one parameter that most others hang on; if there is
    none, one region covers the space. One Gaussian process is of all trials. At each suggestion

        1. several objectives become one by random weights,
        2. what still runs gets values that are drawn from the model,
        3. each region draws candidates around its best trial as the model sees it, or from all of
           its family if it has to start, and
        4. the candidate with the best value of one function drawn from the model (Thompson
           sampling) within the budget is proposed; or, with `log_ei`, its region is, and the
           candidate with the largest expected improvement there, after some steps uphill.

    A region is a box in the numbers, of sides in proportion to their length scales, and a Hamming
    ball in the categories. It grows after successes, shrinks after failures, and starts elsewhere
    when there is nothing left to shrink (`TrustRegion.replay`).

    Where a candidate's cost takes a network to be built, few are asked: those that seem to be
    within the limits by their predicted costs (`PredictedCosts`).

    Args:
        problem: what is searched.
        acquisition: `log_ei` or `thompson`.
        initial: random candidates before the first model, at least 2, failed ones among them, and
            two that tell their objectives; families take turns.

    References:
        J. Kim, C. Myeong and S. Yun, "TRADE: trust region aware architecture search to distill
        knowledge effectively", ICML workshop HAET 2022: trust regions over families of students.
        Its constants are not published, so the rest follows the next two.
        D. Eriksson, M. Pearce, J. R. Gardner, R. Turner and M. Poloczek, "Scalable global
        optimization via local Bayesian optimization", NeurIPS 2019 (TuRBO): box, lengths and
        counters, Thompson sampling over several regions. X. Wan, V. Nguyen, H. Ha, B. Ru, C. Lu
        and M. A. Osborne, "Think global and act local", ICML 2021 (Casmopolitan): kernel, Hamming
        ball, restart at the lower confidence bound. J. Knowles, "ParEGO", IEEE Transactions on
        Evolutionary Computation, 2006: the augmented Chebyshev scalarisation, rho = 0.05.
        What differs: one model for all regions, of trials of past lives too; a life starts with
        one candidate, the first life with the initial ones; patience is max(4, d/4) failures
        against d (TuRBO) and 40 (Casmopolitan), as students are dear; any improvement is a
        success; the share of numbers that move is drawn for each candidate; the radius is a share
        of the categories, of the same length as the box; targets are half ranks; weights are
        drawn from the whole simplex, not from a grid.
    """

    def __init__(
        self, problem: Problem, acquisition: Acquisition = "log_ei", *, initial: int = 8
    ) -> None:
        if acquisition not in get_args(Acquisition):
            expected = " or ".join(map(repr, get_args(Acquisition)))
            raise ValueError(f"expected acquisition {expected}, got {acquisition!r}")
        if initial < 2:
            raise ValueError(f"expected initial >= 2, got {initial}")
        self._problem = problem
        self._acquisition = acquisition
        self._initial = initial
        self._families = Families(problem)
        self._axes = Axes(problem.domain, self._families.columns)
        self._limited = any(map(math.isfinite, problem.limits.values()))

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        known, pending = observations.known, observations.pending
        tried = known | pending | observations.failed
        if not (self._axes.numbers | self._axes.categories).any() and not self._families.columns:
            return _suggestion(finder.find())
        costs = self._costs_known_to(observations)
        if known.sum() >= 2 and tried.sum() >= self._initial:
            turn = _Turn(
                self._problem, self._families, self._axes, observations, finder, costs, rng
            )
            try:
                with seeded(rng):
                    return turn.suggest(self._acquisition)
            except NoModelError:
                return _suggestion(finder.find())
        family = self._families.least_tried(observations.trials, rng)
        pool = self._anywhere(family, costs, rng)
        return _suggestion(next(filter(finder.accepts, pool), None) or finder.find(pool))

    def _anywhere(
        self, family: int, costs: PredictedCosts | None, rng: np.random.Generator
    ) -> Sequence[Candidate]:
        """As many of a family as may be asked what they cost; first those likely to be within."""
        few = min(_LEAST_POINTS, self._problem.affordable)
        points = self._families.sample(family, few if costs is None else _POINTS, rng)
        drawn = [self._problem.candidate(point, rng) for point in points]
        if costs is None:
            return drawn
        _, log_chances = costs.priced(Pool.unpriced(self._problem, drawn))
        # All that are likely are alike: the surest are the smallest.
        order = np.argsort(-np.minimum(log_chances, _LIKELY), kind="stable")
        return [drawn[i] for i in order[:few]]

    def _costs_known_to(self, observations: Observations) -> PredictedCosts | None:
        """None where no limit is known, or about all that is drawn may be asked what it costs."""
        if not self._limited or self._problem.affordable >= _POINTS:
            return None
        newest = map(_candidate, observations.trials[-MOST_ROWS:])
        return self._costs.given(Pool.of(self._problem, newest))

    @cached_property
    def _costs(self) -> PredictedCosts:
        return PredictedCosts(self._problem, from_anywhere(self._problem))


class Families:
    """The parts of a space that differ in the category most parameters hang on.

    Attributes:
        names: of the families; one if no parameter hangs on a category that always exists.
        columns: of the joint domain, those which tell the families apart: one or none.
    """

    def __init__(self, problem: Problem) -> None:
        self._domain = problem.domain
        parents = [condition.parent for condition in problem.architecture.conditions.values()]
        found = {
            name: distribution.choices
            for name, distribution in problem.architecture.parameters.items()
            if name in parents and name not in problem.architecture.conditions
            if isinstance(distribution, CategoricalDistribution) and not distribution.single()
        }
        self._parameter = max(found, key=parents.count, default=None)
        self._values = found[self._parameter] if self._parameter is not None else ()
        self.names = [str(value) for value in self._values] or ["all"]
        # The architecture's parameters stand first in the joint domain.
        order = list(problem.architecture.parameters)
        self.columns = [] if self._parameter is None else [order.index(self._parameter)]

    def of(self, trial: Trial | Candidate) -> int:
        """Index of the family that a trial's architecture belongs to."""
        if self._parameter is None:
            return 0
        return self._values.index(trial.architecture.choices[self._parameter])

    def least_tried(self, trials: Sequence[Trial], rng: np.random.Generator) -> int:
        """A family with the fewest trials."""
        counts = np.bincount([self.of(trial) for trial in trials], minlength=len(self.names))
        return int(rng.choice(np.flatnonzero(counts == counts.min())))

    def sample(self, family: int, n: int, rng: np.random.Generator) -> list[Choices]:
        """`n` uniform points of the joint domain within a family."""
        rows = rng.random((n, len(self._domain.parameters)))
        rows[:, self.columns] = (family + 0.5) / len(self.names)
        return list(self._domain.decode(rows))


class _Turn:
    """One suggestion that a model makes."""

    def __init__(
        self,
        problem: Problem,
        families: Families,
        axes: Axes,
        observations: Observations,
        finder: CandidateFinder,
        costs: PredictedCosts | None,
        rng: np.random.Generator,
    ) -> None:
        self._problem = problem
        self._families = families
        self._axes = axes
        self._trials = observations.trials
        self._pending = observations.pending
        self._losses = _with_failures(observations)
        self._finder = finder
        self._rng = rng
        self._costs = costs
        self._asked: set[str] = set()

    def suggest(self, acquisition: Acquisition) -> Suggestion:
        """The most promising candidate. May raise NoModelError."""
        self._fit()
        regions = self._regions()
        pools = self._likely([self._pool(family, region) for family, region in enumerate(regions)])
        whole = [candidate for _, pool in pools for candidate in pool]
        if not whole:
            return _suggestion(self._finder.find())
        sampled = -self._model.sample(self._columns(whole), self._rng)
        best = self._first_accepted(whole, sampled, 1)
        # If none fits the budget, one near the best that does not will have to do.
        leader = whole[best[0] if best else int(np.argmax(sampled))]
        family = self._families.of(leader)
        neighbourhood, pool = pools[family]
        if best and acquisition == "log_ei":
            chosen = self._most_expected(pool, neighbourhood) or leader
        else:
            chosen = leader if best else self._finder.find([leader])
        if self._families.of(chosen) != family:
            return _suggestion(chosen)
        return _suggestion(chosen, regions[family].name, starts=neighbourhood is None)

    def _fit(self) -> None:
        """Makes the model, and works out what it believes of each trial, without noise."""
        units = Pool.unpriced(self._problem, map(_candidate, self._trials)).units
        self._encoder = Encoder(self._problem.domain, np.empty((len(units), 0)))
        every = self._encoder.columns(units, np.empty((len(units), 0)))
        ended = ~np.isnan(self._losses).any(axis=1)
        targets = _targets(self._losses[ended], self._rng)
        self._model = Surrogate(every[ended], self._encoder.counts, targets)
        if self._pending.any():
            self._model.imagine(every[self._pending], self._rng)
        self._believed, _ = self._model.predict(every)
        self._best = float(self._believed[ended | self._pending].min())
        self._weights = np.ones(units.shape[1])
        if len(self._model.lengths):
            logs = np.log(self._model.lengths)
            self._weights[self._axes.numbers] = np.exp(logs - logs.mean())

    def _regions(self) -> list[TrustRegion]:
        of = np.array([self._families.of(trial) for trial in self._trials])
        return [
            TrustRegion.replay(
                name, np.flatnonzero(of == i).tolist(), self._trials, self._losses, self._axes
            )
            for i, name in enumerate(self._families.names)
        ]

    def _pool(
        self, family: int, region: TrustRegion
    ) -> tuple[Neighbourhood | None, list[Candidate]]:
        """New candidates within a region; of all its family, and None, if it has to start."""
        count = max(_POINTS // len(self._families.names), _LEAST_POINTS)
        if not region.is_over:
            members = list(region.members)
            centre = self._trials[members[int(np.argmin(self._believed[members]))]]
            neighbourhood = Neighbourhood(
                self._axes, self._point(_candidate(centre)), region.length, self._weights
            )
            drawn = self._problem.domain.decode(neighbourhood.sample(count, self._rng))
            pool = self._new(drawn, neighbourhood)
            if pool:
                return neighbourhood, pool
        return None, self._new(self._families.sample(family, count, self._rng), None)

    def _new(
        self, points: Iterable[Choices], neighbourhood: Neighbourhood | None
    ) -> list[Candidate]:
        """Candidates at the points that are not in the record and within the neighbourhood."""
        candidates = [self._problem.candidate(point, self._rng) for point in points]
        found = {one.point: one for one in candidates if self._finder.is_new(one)}
        pool = Pool.unpriced(self._problem, found.values())
        if neighbourhood is not None:
            pool = pool[np.flatnonzero(neighbourhood.contains(pool.units))]
        return list(pool.candidates)

    def _likely(
        self, pools: list[tuple[Neighbourhood | None, list[Candidate]]]
    ) -> list[tuple[Neighbourhood | None, list[Candidate]]]:
        """Where few costs may be asked, those that seem to be within the limits; all if none do."""
        likely = [(around, self._seem_within(pool)) for around, pool in pools]
        return likely if any(pool for _, pool in likely) else pools

    def _seem_within(self, candidates: list[Candidate]) -> list[Candidate]:
        if self._costs is None:
            return candidates
        _, log_chances = self._costs.priced(Pool.unpriced(self._problem, candidates))
        return [candidates[i] for i in np.flatnonzero(log_chances > _LIKELY)]

    def _most_expected(
        self, pool: list[Candidate], neighbourhood: Neighbourhood | None
    ) -> Candidate | None:
        """The candidate of a region that is expected to improve most; None if none fits.

        Where the region starts it is the one with the lowest confidence bound.
        """
        if neighbourhood is None:
            mean, deviation = self._model.predict(self._columns(pool))
            best = self._first_accepted(pool, _CONFIDENCE * deviation - mean, 1)
            return pool[best[0]] if best else None
        scores = self._improvement(pool)
        for _ in range(_CLIMBS):
            top = self._first_accepted(pool, scores, _CLIMBERS)
            here, heights = [pool[i] for i in top], scores[top]
            points = [
                point
                for candidate in here
                for step in _STEPS
                for point in self._problem.domain.neighbours(
                    self._point(candidate), self._rng, step * neighbourhood.length / 2
                )
            ]
            near = self._seem_within(self._new(points, neighbourhood))
            if not near:
                break
            pool, scores = [*here, *near], np.concatenate([heights, self._improvement(near)])
        best = self._first_accepted(pool, scores, 1)
        return pool[best[0]] if best else None

    def _improvement(self, candidates: Sequence[Candidate]) -> np.ndarray:
        mean, deviation = self._model.predict(self._columns(candidates))
        return log_expected_improvement(mean, deviation, self._best)

    def _first_accepted(
        self, candidates: Sequence[Candidate], scores: np.ndarray, count: int
    ) -> list[int]:
        """Indices of the best that are within the budget; looks no further than is affordable."""
        found: list[int] = []
        for index in np.argsort(-scores, kind="stable").tolist():
            key = candidates[index].architecture.key
            if key not in self._asked and len(self._asked) >= self._problem.affordable:
                continue
            self._asked.add(key)
            if self._finder.accepts(candidates[index]):
                found.append(index)
                if len(found) == count:
                    break
        return found

    def _columns(self, candidates: Sequence[Candidate]) -> Columns:
        units = Pool.unpriced(self._problem, candidates).units
        return self._encoder.columns(units, np.empty((len(units), 0)))

    def _point(self, candidate: Candidate) -> Choices:
        return self._problem.join(candidate.architecture.choices, candidate.distillation)


def _with_failures(observations: Observations) -> np.ndarray:
    """(n, m) losses, infinite for trials that failed by their own fault or gave no number."""
    trials, rung = observations.trials, observations.rung
    failed = np.array([_has_failed(trial, rung) for trial in trials]) & ~observations.known
    return np.where(failed[:, None], np.inf, observations.losses)


def _has_failed(trial: Trial, rung: int) -> bool:
    if trial.state is not TrialState.FAILED:
        return trial.figures_at(rung) is not None
    bad_luck = (FailureClass.LOST_WORKER, FailureClass.STORAGE_FULL)
    return trial.failure is None or trial.failure.failure_class not in bad_luck


def _targets(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) targets of the model for (n, m) losses; infinite ones count as the worst finite one."""
    finite = np.isfinite(losses).all(axis=1)
    low, high = losses[finite].min(axis=0), losses[finite].max(axis=0)
    weights = rng.dirichlet(np.ones(losses.shape[1]))
    weighted = weights * (losses[finite] - low) / np.maximum(high - low, 1e-12)
    scalars = np.empty(len(losses))
    scalars[finite] = weighted.max(axis=1) + _RHO * weighted.sum(axis=1)
    scalars[~finite] = scalars[finite].max()
    return part_rank(scalars)


def _suggestion(candidate: Candidate, region: str = "", starts: bool = False) -> Suggestion:
    notes = {NOTES: {"region": region, **({"starts": True} if starts else {})}} if region else {}
    return Suggestion(candidate.architecture, candidate.distillation, notes)


def _candidate(trial: Trial) -> Candidate:
    return Candidate(trial.architecture, trial.distillation)
