"""What proposes students and what decides how long they train."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.distributions import (
    FloatDistribution,
)

from autokd.assemble.parts import Parts, parameter_limit, teacher_cost
from autokd.assemble.spaces import load_space
from autokd.budget import Budget, Cost
from autokd.errors import TeacherError
from autokd.multiobjective import Objective
from autokd.space import Architecture, Domain, ScoredSpace, SearchSpace
from autokd.spec import (
    AutoKDSpec,
    AxSpec,
    BayesianSpec,
    CmaEsSpec,
    DataSpec,
    DistillationSpec,
    EvolutionSpec,
    FidelitySpec,
    NumberRange,
    OptunaSpec,
    RandomSpec,
    SMACSpec,
    StudySpec,
    TradeSpec,
)
from autokd.steering import earlier_studies
from autokd.store import Store
from autokd.strategies import (
    BayesianSearch,
    BOHBSearch,
    Fidelity,
    GainPerEpoch,
    OptunaSearch,
    Problem,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
    SuccessiveHalving,
    named_candidate,
)
from autokd.strategies.optuna_search import hub_sampler
from autokd.task import Task
from autokd.trial import Suggestion, Trial, TrialKind

_WEIGHTS = frozenset({"parameters", "weight_bytes"})
"""Two figures that say the same of a student, in different units."""

_AFFORDABLE_COSTS = 16
"""A network is built for each, which takes some 20 ms."""


def distillation_domain(spec: DistillationSpec) -> Domain:
    """What is searched of the distillation: `loss.parameter` for every range in the spec."""
    return Domain(
        {
            f"{loss.name}.{field}": FloatDistribution(value.low, value.high, log=value.log)
            for loss in spec.losses
            for field, value in loss
            if isinstance(value, NumberRange)
        }
    )


def make_fidelity(spec: FidelitySpec, problem: Problem) -> Fidelity:
    """Decides how long each trial trains."""
    if spec.promotion == "gain":
        return GainPerEpoch(problem, spec.eta)
    return SuccessiveHalving(problem.rungs, spec.eta, problem.objectives, spec.brackets)


def earlier_trials(spec: StudySpec, store: Store) -> list[list[Trial]]:
    """The records of the studies that a strategy is to learn from. Raises SpecError."""
    return [store.trials(study.id, TrialKind.SEARCH) for study in earlier_studies(spec, store)]


def make_problem(spec: StudySpec, parts: Parts, cost: Callable[[Architecture], Cost]) -> Problem:
    """What a study searches: the cost of a student must be exact and cheap."""
    return Problem(
        space=parts.space.name,
        draws=parts.space.draws,
        architecture=parts.domain,
        distillation=distillation_domain(spec.distillation),
        objectives=parts.objectives,
        violations=lambda architecture: parts.budget.violations(cost(architecture)),
        rungs=spec.fidelity.rungs,
        figures=_known_figures(parts.space, parts.data.task, cost, parts.objectives),
        limits=_limits(parts.budget),
        affordable=_AFFORDABLE_COSTS,
    )


def _limits(budget: Budget) -> dict[str, float]:
    """What a budget allows of each figure; of those that say the same as one, too."""
    same = _WEIGHTS if budget.limits.keys() & _WEIGHTS else ()
    return {**dict.fromkeys(same, math.inf), **budget.limits}


def _known_figures(
    space: SearchSpace,
    task: Task,
    cost: Callable[[Architecture], Cost],
    objectives: Sequence[Objective],
) -> Callable[[Architecture], Mapping[str, float]]:
    """What is known of an architecture without training it: its cost, and the space's scores."""
    if not isinstance(space, ScoredSpace):
        return lambda architecture: cost(architecture).figures()

    @functools.cache
    def figures(architecture: Architecture) -> Mapping[str, float]:
        known, scores = cost(architecture).figures(), space.scores(architecture, task)
        taken = known.keys() | {objective.metric for objective in objectives}
        for name, score in scores.items():
            if name in taken or not 0 < score < math.inf:
                raise ValueError(
                    f"scores of the space {space.name!r}: expected positive numbers by names that "
                    f"are no metrics, got {name} = {score!r}"
                )
        return {**known, **scores}

    return figures


def admit_candidate(
    spec: StudySpec, task_of: Callable[[DataSpec], Task], request: Mapping[str, Any]
) -> Suggestion:
    """The candidate that somebody names, if a study has it.

    Args:
        spec: the study.
        task_of: what is to be learned from data, which may have to be read to know it.
        request: see `autokd.strategies.named_candidate`.

    Raises:
        SpecError: there is no such candidate; says all that is wrong with it.
        TeacherError: the teacher is not known by a name.
    """
    task = task_of(spec.data)
    space, teacher = load_space(spec.space), teacher_cost(spec, task)
    if teacher is None:
        raise TeacherError("the teacher is an object of a Python program, which only that has")
    architecture = space.domain(task, parameter_limit(spec, teacher))
    domains = architecture, distillation_domain(spec.distillation)
    return named_candidate(request, space.name, *domains, draws=space.draws)


def make_strategy(
    spec: StudySpec, problem: Problem, earlier: Sequence[Sequence[Trial]] = ()
) -> Strategy:
    """The strategy that a spec names.

    Args:
        spec: the study.
        problem: what it searches.
        earlier: records of the studies that it names for a warm start.

    Raises:
        SpecError, UnknownNameError: there is no such sampler, or not with these options.
    """
    match spec.strategy:
        case BayesianSpec(initial=initial):
            return BayesianSearch(problem, initial=initial, earlier=earlier)
        case TradeSpec(acquisition=acquisition):
            from autokd.strategies.trade import TRADE  # BoTorch takes seconds to load

            return TRADE(problem, acquisition)
        case AutoKDSpec(name="autokd"):
            return BOHBSearch(problem)
        case AutoKDSpec():
            return BayesianSearch(replace(problem, figures=lambda architecture: {}))
        case EvolutionSpec(population=population, sample=sample):
            return RegularizedEvolution(problem, population, sample)
        case CmaEsSpec(population=population):
            from autokd.strategies.cma import CMAES  # only this one needs its library

            return CMAES(problem, population)
        case SMACSpec(initial=initial):
            from autokd.strategies.smac_search import SMACSearch  # its library is optional

            return SMACSearch(problem, initial)
        case AxSpec(initial=initial):
            from autokd.strategies.ax_search import AxSearch  # its library is optional

            return AxSearch(problem, initial)
        case OptunaSpec(hub=str(package), sampler=sampler, options=options):
            return OptunaSearch(problem, hub_sampler(package, sampler), options)
        case OptunaSpec(name=name, sampler=sampler, options=options):
            return OptunaSearch(problem, sampler or name, options)
        case RandomSpec():
            return RandomSearch(problem)
