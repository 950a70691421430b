"""What a search strategy is asked, and what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from autokd.errors import SpecError
from autokd.multiobjective import Objective
from autokd.space import Architecture, Choice, Choices, Domain
from autokd.trial import Suggestion, Trial

_ARCHITECTURE = "architecture."
_DISTILLATION = "distillation."
_SEEDS = 2**31


class SpaceExhausted(Exception):
    """Raised by a strategy when all that is within the budget has been proposed already."""


@dataclass(frozen=True)
class Candidate:
    """An architecture with a distillation setting: what is told apart, and evaluated once.

    Attributes:
        architecture: the student.
        distillation: canonical value of every searched distillation parameter.
    """

    architecture: Architecture
    distillation: Choices

    @cached_property
    def key(self) -> str:
        """Equal for equal candidates, in every process."""
        return json.dumps([self.architecture.key, dict(self.distillation)], sort_keys=True)

    @cached_property
    def point(self) -> Hashable:
        """The same without the seed of the draw: equal for two draws of one generator."""
        setting = sorted(self.distillation.items())
        # The choices of an architecture are sorted.
        return tuple(self.architecture.choices.items()), tuple(setting)


@dataclass(frozen=True)
class Problem:
    """What is searched, for what, and within which limits.

    Attributes:
        space: name of the search space.
        draws: whether an architecture is one draw of a random generator, told apart by its seed.
        architecture: what may vary in an architecture.
        distillation: what may vary in how it is taught; may be empty.
        objectives: axes of the front.
        violations: by how much an architecture exceeds each limit of the budget, as a share of the
            limit; empty if it is within the budget. Exact, cheap and remembered by the callee.
        rungs: epochs at which the rungs of the fidelity ladder end, ascending.
        figures: what is known of an architecture without training it, by name: its cost. Exact and
            remembered like `violations`; positive, and the same names for every architecture.
        limits: the most that the budget allows of a figure, by name; infinite if only the
            violations tell. Figures that say the same as a limited one are among them.
        affordable: how many new architectures a suggestion may ask the violations and figures of
            before it must come to an end; where a network has to be built for it, that is few.
            The record's own do not count. Once twelve times as many may be asked, at most 200, to
            learn what they cost.
    """

    space: str
    draws: bool
    architecture: Domain
    distillation: Domain
    objectives: tuple[Objective, ...]
    violations: Callable[[Architecture], Mapping[str, float]]
    rungs: tuple[int, ...]
    figures: Callable[[Architecture], Mapping[str, float]] = lambda architecture: {}
    limits: Mapping[str, float] = field(default_factory=dict)
    affordable: int = 20_000

    @cached_property
    def domain(self) -> Domain:
        """The joint domain, the architecture's parameters first.

        `join` and `candidate` go to and from its points.
        """
        architecture = self.architecture.prefixed(_ARCHITECTURE)
        return architecture.join(self.distillation.prefixed(_DISTILLATION))

    @cached_property
    def hidden(self) -> frozenset[str]:
        """Figures that are no input of a model: what is limited, unless it is an objective.

        The best have as much of it as they may; as an input it would explain what they owe to the
        parts that it is spent on. What is wanted small as well is not spent to the last.
        """
        return frozenset(self.limits.keys() - {one.metric for one in self.objectives})

    def join(self, architecture: Choices, distillation: Choices) -> dict[str, Choice]:
        """The point of the joint domain that stands for an architecture's choices and a setting."""
        return {
            **{_ARCHITECTURE + name: value for name, value in architecture.items()},
            **{_DISTILLATION + name: value for name, value in distillation.items()},
        }

    def candidate(self, point: Choices, rng: np.random.Generator) -> Candidate:
        """The candidate at a canonical point of the joint domain.

        Where architectures are draws, `rng` draws the seed of this one.
        """
        return Candidate(self.draw(_part(point, _ARCHITECTURE), rng), _part(point, _DISTILLATION))

    def draw(self, choices: Choices, rng: np.random.Generator) -> Architecture:
        """An architecture with these choices; where architectures are draws, a new one."""
        seed = int(rng.integers(_SEEDS)) if self.draws else 0
        return Architecture(self.space, choices, seed)

    def admit(self, request: Mapping[str, Any]) -> Suggestion:
        """The candidate that somebody names; see `named_candidate`."""
        domains = self.architecture, self.distillation
        return named_candidate(request, self.space, *domains, draws=self.draws)


def named_candidate(
    request: Mapping[str, Any], space: str, architecture: Domain, distillation: Domain, draws: bool
) -> Suggestion:
    """The candidate that somebody names.

    Args:
        request: its `choices`, `distillation` (left out: nothing is searched in it), and `draw` (0
            if it is left out).
        space: name of the search space.
        architecture: what may vary in an architecture.
        distillation: what may vary in how it is taught.
        draws: whether an architecture is one draw of a random generator.

    Raises:
        SpecError: there is no such candidate; says all that is wrong, by `choices.NAME` and
            `distillation.NAME`.
    """
    choices, settings = request["choices"], request.get("distillation", {})
    mistakes = [
        *architecture.mistakes(choices, "choices"),
        *distillation.mistakes(settings, "distillation"),
    ]
    if mistakes:
        raise SpecError("the candidate", mistakes)
    draw = int(request.get("draw", 0)) if draws else 0
    return Suggestion(
        Architecture(space, architecture.canonical(choices), draw), distillation.canonical(settings)
    )


class Strategy(Protocol):
    """Proposes what to evaluate next.

    A strategy remembers nothing: what it proposes follows from the record and the generator, so
    that a study goes on after a crash as if nothing had happened. It never proposes a candidate
    that is over budget or that the record has already.
    """

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next candidate.

        Args:
            trials: the study's record, in any order. Trials of other kinds than SEARCH are ignored.
            rng: the only source of randomness.

        Raises:
            SpaceExhausted: everything within the budget is in the record.
            NothingFeasibleError: nothing within the budget was found; says what came nearest.
        """
        ...


def _part(point: Choices, prefix: str) -> dict[str, Choice]:
    return {
        name.removeprefix(prefix): value for name, value in point.items() if name.startswith(prefix)
    }
