"""Where the next candidate is looked for: all of a small space, or the surroundings of the best."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autokd.space import Choice, Choices, Domain
from autokd.strategies.base import Candidate, Problem

_STEPS = (0.2, 0.05)
"""Standard deviations of the steps of numbers, as shares of their range."""

_LEAST_FIGURE = 1e-12
"""A figure that is 0 has no logarithm."""


@dataclass(frozen=True)
class Pool:
    """Candidates, and what the model needs to know of them.

    Attributes:
        candidates: n candidates.
        units: (n, d) rows of `Domain.encode`.
        figures: (n, f) figures that are known without training, by `names`.
        names: of the figures, sorted.
    """

    candidates: Sequence[Candidate]
    units: np.ndarray
    figures: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, problem: Problem, candidates: Iterable[Candidate]) -> Pool:
        """The candidates with all that is known of them; asks what each costs."""
        found = list(candidates)
        known = [problem.figures(candidate.architecture) for candidate in found]
        names = tuple(sorted(known[0])) if known else ()
        table = np.array([[figures[name] for name in names] for figures in known], dtype=float)
        return cls(found, _units(problem, found), table.reshape(len(found), len(names)), names)

    @classmethod
    def unpriced(cls, problem: Problem, candidates: Iterable[Candidate]) -> Pool:
        """The candidates without their figures."""
        found = list(candidates)
        return cls(found, _units(problem, found), np.empty((len(found), 0)), ())

    def __len__(self) -> int:
        return len(self.candidates)

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> Pool:
        chosen = [self.candidates[row] for row in rows]
        return Pool(chosen, self.units[rows], self.figures[rows], self.names)

    def last(self, most: int) -> Pool:
        """The last of the candidates, at most so many."""
        return self[range(max(len(self) - most, 0), len(self))]

    def join(self, other: Pool) -> Pool:
        """The candidates of both, these first."""
        candidates = [*self.candidates, *other.candidates]
        units = np.concatenate([self.units, other.units])
        return Pool(candidates, units, np.concatenate([self.figures, other.figures]), self.names)

    @property
    def logs(self) -> np.ndarray:
        """(n, f) logarithms of the figures."""
        logs: np.ndarray = np.log(np.maximum(self.figures, _LEAST_FIGURE))
        return logs

    def as_figures(self) -> list[Mapping[str, float]]:
        """The figures of each candidate by name."""
        return [dict(zip(self.names, row, strict=True)) for row in self.figures.tolist()]


def _units(problem: Problem, candidates: Sequence[Candidate]) -> np.ndarray:
    return problem.domain.encode(
        problem.join(candidate.architecture.choices, candidate.distillation)
        for candidate in candidates
    )


def all_points(domain: Domain, most: int) -> list[dict[str, Choice]] | None:
    """Every point of a domain, or None if it is infinite or may have more than `most`."""
    if math.prod(count_values(distribution) for distribution in domain.parameters.values()) > most:
        return None
    points: list[dict[str, Choice]] = [{}]
    for name, distribution in domain.parameters.items():
        grown = []
        for point in points:
            if domain.is_active(name, point):
                grown += [{**point, name: value} for value in _values(distribution)]
            else:
                grown.append(point)
        points = grown
    return [domain.canonical(point) for point in points]


def count_values(distribution: BaseDistribution) -> float:
    """How many values a parameter has; infinite if it is continuous."""
    match distribution:
        case CategoricalDistribution():
            return len(distribution.choices)
        case IntDistribution():
            return (distribution.high - distribution.low) // distribution.step + 1
        case FloatDistribution(step=None):
            return 1 if distribution.single() else math.inf
        case FloatDistribution(step=float(step)):
            return round((distribution.high - distribution.low) / step) + 1
    raise TypeError(f"expected a distribution of Optuna, got {distribution!r}")


def _values(distribution: BaseDistribution) -> Sequence[Choice]:
    match distribution:
        case CategoricalDistribution():
            return distribution.choices  # type: ignore[return-value]  # None is no choice of ours
        case IntDistribution():
            return range(distribution.low, distribution.high + 1, distribution.step)
        case FloatDistribution():
            count = int(count_values(distribution))
            return [distribution.low + i * (distribution.step or 0) for i in range(count)]
    raise TypeError(f"expected a distribution of Optuna, got {distribution!r}")


def surroundings(
    domain: Domain, leaders: Sequence[Choices], rng: np.random.Generator, count: int
) -> Iterator[dict[str, Choice]]:
    """Points near the best ones, and some from anywhere.

    Args:
        domain: the joint domain.
        leaders: the best points so far, at least one.
        rng: draws everything.
        count: how many points of each kind beyond the neighbours: two changes away, crossed over
            between two leaders, and uniform.
    """
    near = [neighbour for leader in leaders for neighbour in changed(domain, leader, rng)]
    yield from near
    for index in rng.integers(len(near), size=count) if near else ():
        further = domain.neighbours(near[index], rng)
        if further:
            yield further[rng.integers(len(further))]
    for _ in range(count if len(leaders) > 1 else 0):
        first, second = rng.choice(len(leaders), size=2, replace=False)
        yield _crossed(domain, leaders[first], leaders[second], rng)
    yield from domain.sample(rng, count)


def changed(domain: Domain, point: Choices, rng: np.random.Generator) -> list[dict[str, Choice]]:
    """Every point one change away, with large and with small steps of numbers."""
    return list(itertools.chain(*(domain.neighbours(point, rng, step) for step in _STEPS)))


def _crossed(
    domain: Domain, one: Choices, other: Choices, rng: np.random.Generator
) -> dict[str, Choice]:
    """A point that takes each parameter from one of two; from the one that has it, if only one."""
    point: dict[str, Choice] = {}
    for name in domain.parameters:
        if domain.is_active(name, point):
            first, second = (one, other) if rng.random() < 0.5 else (other, one)
            point[name] = first[name] if name in first else second[name]
    return point
