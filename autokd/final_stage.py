"""What the final stage trains: the best of the front in full, each beside its baseline."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from autokd.budget import Budget, Cost
from autokd.multiobjective import ParetoFront
from autokd.seeding import rng_for
from autokd.space import Architecture, Choices
from autokd.spec import FinalSpec
from autokd.trial import Trial, TrialKind

_TRIES = 10
"""So many draws of a generator are looked at for each that is wanted within the budget."""

_SEEDS = 2**31


@dataclass(frozen=True)
class Retraining:
    """A trial that the final stage wants.

    Attributes:
        kind: FINAL, BASELINE or FAMILY.
        architecture: the student.
        distillation: as its candidate of the search had it.
        cost: of the student.
        repeat: 0-based index of its seed.
        epochs: to train for.
    """

    kind: TrialKind
    architecture: Architecture
    distillation: Choices
    cost: Cost
    repeat: int
    epochs: int

    def is_of(self, trial: Trial) -> bool:
        """Whether the trial is this one."""
        return (
            (trial.kind, trial.repeat, trial.epochs) == (self.kind, self.repeat, self.epochs)
            and trial.architecture.key == self.architecture.key
            and trial.distillation == self.distillation
        )


def retrainings(
    final: FinalSpec,
    front: ParetoFront,
    budget: Budget,
    cost: Callable[[Architecture], Cost],
    seed: int,
) -> list[Retraining]:
    """All trials of the final stage, in the order in which they are trained.

    Each of the best of the front with and without the teacher, once for each seed; then fresh draws
    of their generators, with the teacher. Of those only ones within the budget count, so there may
    be fewer than wanted.

    Args:
        final: how many, how long.
        front: of the search.
        budget: limits of the draws.
        cost: of a student; exact and cheap.
        seed: of the study.
    """
    best = front.top(final.top)
    wanted = [
        Retraining(kind, one.architecture, one.distillation, one.cost, repeat, final.epochs)
        for one in best
        for repeat in range(final.seeds)
        for kind in (TrialKind.FINAL, TrialKind.BASELINE)
    ]
    for one in best:
        feasible = (
            (draw, cost(draw))
            for draw in _draws(one, final.draws, seed)
            if not budget.violations(cost(draw))
        )
        wanted += [
            Retraining(TrialKind.FAMILY, draw, one.distillation, its_cost, 0, final.epochs)
            for draw, its_cost in itertools.islice(feasible, final.draws)
        ]
    return wanted


def _draws(trial: Trial, count: int, seed: int) -> Iterator[Architecture]:
    """Fresh draws of the generator of a trial's student."""
    for n in range(_TRIES * count):
        rng = rng_for(seed, trial.candidate, f"draw/{n}")
        yield replace(trial.architecture, seed=int(rng.integers(_SEEDS)))
