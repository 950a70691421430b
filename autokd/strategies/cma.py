"""Covariance matrix adaptation on the unit axes of the domain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from cmaes import CMAwM
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autokd.errors import Mistake, SpecError
from autokd.strategies.base import Problem
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.observations import Observations
from autokd.trial import Suggestion, Trial

_ASKS = 10
"""How often a point is drawn before the nearest candidate is taken."""

_MIDDLE = 0.5 + 1e-9
"""Of every axis: where the search starts, and what is told of a parameter that is inactive.

Not exactly the middle, where two categories meet: the package's margin is undefined there.
"""


class CMAES:
    """Draws from a normal distribution that is moved and stretched towards what was good.

    The distribution is worked out anew for every suggestion: the trials whose objective is known
    are told in the order of their numbers, one population after the other. The rest of the last
    one waits until it is full. A trial that ends late takes the place of its number.

    All is on the unit axes of `Domain.encode`. What is told of a trial is its point there, which
    may not be the point that was drawn: it is quantised, and one that is over budget or known is
    drawn again a few times and then replaced by the nearest that will do. When the distribution
    has shrunk to nothing or burst, it starts afresh from the middle.

    Args:
        problem: what is searched; one objective.
        population: how many trials change the distribution at once, at least 4;
            4 + floor(3 ln d) for d parameters if None.
        step: standard deviation at the start, as a share of each axis.

    Raises:
        SpecError: there are several objectives.

    References:
        R. Hamano, S. Saito, M. Nomura and S. Shirakawa, "CMA-ES with margin: lower-bounding
        marginal probability for mixed-integer black-box optimization", GECCO 2022: the algorithm,
        as in the package `cmaes`. N. Hansen, "The CMA evolution strategy: a tutorial", arXiv
        1604.00772, 2016: the constants. Here categories are integers in the order in which they
        are listed, which the method has no place for; whole numbers on a logarithmic axis have no
        margin; the quantised point is told where the paper tells the drawn one; and a parameter
        that is inactive is told as the middle of its axis.
    """

    def __init__(self, problem: Problem, population: int | None = None, step: float = 0.25) -> None:
        if len(problem.objectives) != 1:
            metrics = ", ".join(objective.metric for objective in problem.objectives)
            message = f"cmaes: expected one objective, got {len(problem.objectives)}: {metrics}"
            hint = "remove the others, or use `nsga2`, `tpe` or `regularized_evolution`"
            raise SpecError("the study", [Mistake("strategy.name", message, hint)])
        if (population is not None and population < 4) or step <= 0:
            raise ValueError(
                "expected a population of at least 4 and a step above 0, "
                f"got {population} and {step}"
            )
        self._problem = problem
        self._domain = problem.domain
        self._population = population
        self._step = step
        widths = np.array([_width(d) for d in self._domain.parameters.values()])
        self._varies = widths < 1
        self._widths = widths[self._varies]

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        candidate = finder.first(
            self._problem.candidate(self._domain.decode(row)[0], rng)
            for row in self._draws(observations, seed=int(rng.integers(2**31)))
        )
        return Suggestion(candidate.architecture, candidate.distillation)

    def _draws(self, observations: Observations, seed: int) -> Iterator[np.ndarray]:
        """A few points of the distribution as (d,) rows in [0, 1]."""
        if not self._varies.any():
            return
        optimizer = self._replay(observations, seed)
        for _ in range(_ASKS):
            row = np.full(len(self._varies), _MIDDLE)
            row[self._varies], _ = optimizer.ask()
            yield row

    def _replay(self, observations: Observations, seed: int) -> CMAwM:
        """The distribution after all full populations of the record."""
        optimizer = self._start(seed)
        known = np.flatnonzero(observations.known)
        trials = [observations.trials[index] for index in known]
        join = self._problem.join
        points = [join(trial.architecture.choices, trial.distillation) for trial in trials]
        rows = np.nan_to_num(self._domain.encode(points)[:, self._varies], nan=_MIDDLE)
        told = list(zip(rows, observations.losses[known, 0].tolist(), strict=True))
        size = optimizer.population_size
        # A step may burst when what is told is far outside the distribution; it then starts afresh.
        with np.errstate(over="ignore"):
            for end in range(size, len(told) + 1, size):
                optimizer.tell(told[end - size : end])
                if optimizer.should_stop():
                    optimizer = self._start(seed)
        return optimizer

    def _start(self, seed: int) -> CMAwM:
        half = self._widths / 2
        return CMAwM(
            mean=np.full(len(half), _MIDDLE),
            sigma=self._step,
            bounds=np.stack([half, 1 - half], axis=1),
            steps=self._widths,
            seed=seed,
            population_size=self._population,
        )


def _width(distribution: BaseDistribution) -> float:
    """Share of the unit axis that belongs to one value; 0 if they are many or unequal."""
    if distribution.single():
        return 1.0
    if isinstance(distribution, CategoricalDistribution):
        return 1 / len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None or distribution.log:
        return 0.0
    return 1 / (round((distribution.high - distribution.low) / distribution.step) + 1)
