"""A search strategy as a sampler of Optuna."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, cast

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as State

from autokd.budget import Cost
from autokd.errors import NothingFeasibleError
from autokd.multiobjective import Objective
from autokd.seeding import rng_for
from autokd.space import Architecture, Choice, Choices, Condition, Domain
from autokd.strategies.base import Problem, SpaceExhausted, Strategy
from autokd.trial import (
    Evaluation,
    Failure,
    FailureClass,
    Suggestion,
    Trial,
    TrialKind,
    TrialState,
)

_Figures = Callable[[Choices], Mapping[str, float]]

_SPACE = "optuna"
_PROPOSAL = "autokd:proposal"
"""Attribute of a trial: what was proposed for it, and the strategy's notes."""

_FIXED = "fixed_params"
"""Where Optuna keeps what the user enqueued."""

_NO_COST = Cost(parameters=0, weight_bytes=0, peak_activation_bytes=0, macs=0)
"""All figures of these trials are in their evaluations."""

_STATES = {
    State.WAITING: TrialState.QUEUED,
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PAUSED,
    State.FAIL: TrialState.FAILED,
}


def as_optuna_sampler(
    make_strategy: Callable[[Problem], Strategy],
    search_space: Mapping[str, BaseDistribution] | None = None,
    *,
    conditions: Mapping[str, Condition] | None = None,
    violations: _Figures | None = None,
    figures: _Figures | None = None,
    rungs: Sequence[int] = (1,),
    seed: int | None = None,
) -> BaseSampler:
    """A sampler with which an Optuna study proposes by one of autokd's strategies.

    With a `search_space` all parameters are proposed together from the first trial on. Without, the
    space is learned: the first trial is uniform, and each later one knows the parameters, and the
    conditions, that the trials before it show (see `Domain.from_optuna`). Whatever an objective
    asks for beyond the proposal is uniform.

    The sampler remembers nothing that it could not ask again: a proposal follows from the study's
    trials, the seed and the trial's number. So a study that is resumed goes on as if it had not
    been interrupted, and several threads or processes may work at one study. Of what is enqueued
    with some parameters only, the others are proposed.

    What the strategy is told of a trial:
        - Waiting and running trials are pending, at what is enqueued or proposed for them.
        - Intermediate values count if their step is one of `rungs`. The final value is that of the
          last rung. A pruned trial is paused at its last rung; failed if it reached none.
        - A trial with an infinite value or a broken constraint (`trial.set_constraint`) is failed.
        - A trial with violations, which only the user can have enqueued, is over budget.
        - A parameter that a trial did not ask for, and that no condition explains, has the value
          that was proposed; failing that, the middle of its range.
        - A trial with a value outside the search space is left out.

    The search ends with an exception, which ends `study.optimize` too: `SpaceExhausted` when all
    that may be proposed has been, `NothingFeasibleError` when nothing without violations is found.
    Parameters of one value Optuna sets by itself: where there are no others it asks no sampler.

    >>> import optuna
    >>> from optuna.distributions import CategoricalDistribution, IntDistribution
    >>> from autokd.space import Condition
    >>> from autokd.strategies import RandomSearch, as_optuna_sampler
    >>> sampler = as_optuna_sampler(
    ...     RandomSearch,
    ...     {
    ...         "layer": CategoricalDistribution(["conv", "pool"]),
    ...         "width": IntDistribution(1, 32),
    ...         "kernel": CategoricalDistribution([3, 5, 7]),
    ...     },
    ...     conditions={"kernel": Condition("layer", ("conv",))},
    ...     violations=lambda p: {"size": p["width"] * p.get("kernel", 1) ** 2 / 250 - 1},
    ...     seed=0,
    ... )
    >>> def objective(trial):
    ...     layer = trial.suggest_categorical("layer", ["conv", "pool"])
    ...     width = trial.suggest_int("width", 1, 32)
    ...     kernel = trial.suggest_categorical("kernel", [3, 5, 7]) if layer == "conv" else 1
    ...     return width * kernel
    >>> study = optuna.create_study(direction="maximize", sampler=sampler)
    >>> study.optimize(objective, n_trials=20)
    >>> max(t.params["width"] * t.params.get("kernel", 1) ** 2 for t in study.trials) <= 250
    True

    Args:
        make_strategy: makes the strategy of a problem; the class of a strategy will do.
        search_space: distribution of each parameter by name, parents before their children.
        conditions: when a parameter of the search space exists, for those that do not always.
        violations: takes the parameters of a trial by name, gives by how much each limit is
            exceeded, as a share of it; zero or less is within the limit. Nothing over a limit is
            proposed. Asked once for each point.
        figures: takes the same, gives what is known without a trial, by name: positive numbers. One
            that has the name of an objective (`study.set_metric_names`) is that objective; one that
            has the name of a violation is what is limited.
        rungs: steps of `trial.report` at which trials are compared, ascending; the last stands
            for the end of a trial.
        seed: the same gives the same proposals for the same trials; None draws one.

    Raises:
        ValueError: arguments that do not fit together; see also `Domain.from_optuna`. During the
            search: figures that are not positive, or of other names than before; a NaN.
        TypeError: a strategy that cannot be called, a condition that is none, a seed or rungs that
            are no whole numbers; during the search, violations or figures that are no numbers by
            name.
    """
    if not callable(make_strategy):
        raise TypeError(
            f"make_strategy: expected the class of a strategy, such as BayesianSearch, or a "
            f"function that makes one of a problem; got {make_strategy!r}"
        )
    wrong = {n: c for n, c in (conditions or {}).items() if not isinstance(c, Condition)}
    if wrong:
        raise TypeError(f"conditions: expected a Condition for each name, got {wrong}")
    if not all(isinstance(one, int) for one in (*rungs, seed or 0)):
        raise TypeError(f"expected whole numbers as rungs and seed, got {rungs} and {seed!r}")
    if search_space is None and (conditions or violations or figures):
        raise ValueError(
            "conditions, violations and figures are about parameters that are known from the "
            "first trial on: expected a search_space with them, got none"
        )
    if not rungs or list(rungs) != sorted(set(rungs)) or rungs[0] < 1:
        raise ValueError(f"rungs must be ascending steps from 1 on, got {tuple(rungs)}")
    return _StrategySampler(
        make_strategy,
        None if search_space is None else Domain.from_optuna(search_space, conditions),
        _Remembered("violations", violations or _nothing),
        _PositiveFigures("figures", figures or _nothing),
        tuple(rungs),
        secrets.randbits(32) if seed is None else seed,
    )


class _StrategySampler(BaseSampler):
    """See `as_optuna_sampler`."""

    def __init__(
        self,
        make_strategy: Callable[[Problem], Strategy],
        domain: Domain | None,
        violations: _Remembered,
        figures: _Remembered,
        rungs: tuple[int, ...],
        seed: int,
    ) -> None:
        self._make_strategy = make_strategy
        self._domain = domain
        self._violations = violations
        self._figures = figures
        self._rungs = rungs
        self._seed = seed
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        # Users save studies with their samplers, as Optuna's manual says; a lock cannot be saved.
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that are proposed together: the domain, given or learned so far."""
        return dict(self._domain_of(_others(study, trial)).parameters)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The strategy's proposal."""
        if not search_space:
            return {}
        # One thread proposes at a time and writes it down, so that the next one knows of it.
        with self._lock:
            others = _others(study, trial)
            domain = self._domain_of(others)
            fixed = trial.system_attrs.get(_FIXED, {})
            # What is enqueued may wake parameters that the strategy's point lacks.
            spare = Domain(domain.parameters).sample(rng_for(self._seed, trial.number, "spare"))[0]

            def completed(architecture: Architecture) -> dict[str, Choice]:
                choices = {**spare, **architecture.choices, **fixed}
                return {name: choices[name] for name in choices if domain.is_active(name, choices)}

            def violations(architecture: Architecture) -> Mapping[str, float]:
                return self._excess(Architecture(_SPACE, completed(architecture)))

            def proposed(
                violations: Callable[[Architecture], Mapping[str, float]], known: bool = True
            ) -> Suggestion:
                problem = self._problem(study, domain, violations)
                record = self._record(problem, others if known else ())
                rng = rng_for(self._seed, trial.number, "suggest")
                return self._make_strategy(problem).suggest(record, rng)

            try:
                suggestion = proposed(violations if fixed else self._excess)
            except (SpaceExhausted, NothingFeasibleError):
                if not fixed:
                    raise
                # What is enqueued is wanted: again if all that goes with it is known, and over
                # budget if nothing that goes with it is within.
                try:
                    suggestion = proposed(violations, known=False)
                except NothingFeasibleError:
                    suggestion = proposed(lambda architecture: {}, known=False)
            choices = completed(suggestion.architecture)
            proposal = {"choices": choices, "notes": dict(suggestion.notes)}
            study._storage.set_trial_system_attr(trial._trial_id, _PROPOSAL, proposal)
        # Another process may have shown new parameters since the search space was inferred.
        return {name: value for name, value in choices.items() if name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A uniform value of a parameter that was not proposed."""
        domain = Domain.from_optuna({param_name: param_distribution})
        rng = rng_for(self._seed, trial.number, f"independent {param_name}")
        return domain.sample(rng)[0][param_name]

    def _domain_of(self, trials: Sequence[FrozenTrial]) -> Domain:
        return self._domain or Domain.from_optuna(trials)

    def _problem(
        self,
        study: Study,
        domain: Domain,
        violations: Callable[[Architecture], Mapping[str, float]],
    ) -> Problem:
        names = _whole(study).metric_names
        names = names or [f"value_{i}" for i in range(len(study.directions))]
        somewhere = Architecture(_SPACE, domain.canonical(_middle(domain)))
        return Problem(
            space=_SPACE,
            draws=False,
            architecture=domain,
            distillation=Domain({}),
            objectives=tuple(
                Objective(name, "maximize" if direction.name == "MAXIMIZE" else "minimize")
                for name, direction in zip(names, study.directions, strict=True)
            ),
            violations=violations,
            rungs=self._rungs,
            figures=self._figures,
            limits=dict.fromkeys(self._violations(somewhere), math.inf),
        )

    def _excess(self, architecture: Architecture) -> dict[str, float]:
        return {k: v for k, v in self._violations(architecture).items() if v > 0}

    def _record(self, problem: Problem, trials: Sequence[FrozenTrial]) -> list[Trial]:
        """The study's trials as the strategy knows them."""
        domain, middle = problem.architecture, _middle(problem.architecture)
        record = []
        for trial in trials:
            fixed, proposed = (
                trial.system_attrs.get(_FIXED, {}),
                _proposal(trial).get("choices", {}),
            )
            known = {**fixed, **proposed, **trial.params}
            if not known.keys() & middle.keys():
                continue
            try:
                choices = domain.canonical({**middle, **known})
            except ValueError:
                continue
            record.append(self._told(trial, Architecture(_SPACE, choices), problem))
        return record

    def _told(self, trial: FrozenTrial, architecture: Architecture, problem: Problem) -> Trial:
        """What the strategy is told of a trial."""
        metrics = [objective.metric for objective in problem.objectives]
        state, failure = _STATES[trial.state], None
        evaluations = [
            Evaluation(step, {metrics[0]: trial.intermediate_values[step]})
            for step in self._rungs[:-1]
            if step in trial.intermediate_values
        ]
        why = _why_failed(trial, reached=bool(evaluations))
        if self._excess(architecture):
            state, evaluations = TrialState.INFEASIBLE, []
        elif why is not None:
            state, failure = TrialState.FAILED, Failure(FailureClass.ERROR, why)
        elif trial.state is State.COMPLETE:
            values = dict(zip(metrics, trial.values, strict=True))
            evaluations.append(Evaluation(self._rungs[-1], values))
        return Trial(
            number=trial.number,
            kind=TrialKind.SEARCH,
            candidate=trial.number,
            architecture=architecture,
            distillation={},
            cost=_NO_COST,
            repeat=0,
            state=state,
            epochs=evaluations[-1].epochs if evaluations else self._rungs[0],
            evaluations=tuple(evaluations),
            failure=failure,
            notes=_proposal(trial).get("notes", {}),
        )


class _Remembered:
    """What a function of the user's says of the points of a domain; each is asked for once."""

    def __init__(self, name: str, function: _Figures) -> None:
        self._name = name
        self._function = function
        self._known: dict[tuple[tuple[str, Choice], ...], Mapping[str, float]] = {}

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        key = tuple(architecture.choices.items())
        if key not in self._known:
            told = self._function(dict(architecture.choices))
            self._check(told)
            self._known[key] = told
        return self._known[key]

    def _check(self, told: object) -> None:
        if not isinstance(told, Mapping) or not all(isinstance(v, Real) for v in told.values()):
            raise TypeError(f"{self._name}: expected a number for each name, got {told!r}")
        if any(math.isnan(value) for value in told.values()):
            raise ValueError(f"{self._name}: expected numbers, got {dict(told)}")


class _PositiveFigures(_Remembered):
    """Of the same names at every point, as a model needs them."""

    def _check(self, told: object) -> None:
        super()._check(told)
        figures = cast(Mapping[str, float], told)
        if not all(0 < value < math.inf for value in figures.values()):
            raise ValueError(f"{self._name}: expected positive numbers, got {dict(figures)}")
        before = next(iter(self._known.values()), figures)
        if before.keys() != figures.keys():
            raise ValueError(
                f"{self._name}: expected {sorted(before)} as for another point, got "
                f"{sorted(figures)}"
            )


def _nothing(choices: Choices) -> dict[str, float]:
    return {}


def _whole(study: Study) -> Study:
    """The study itself: Optuna's Hyperband shows samplers one that has its bracket's trials only.

    Strategies compare trials at rungs and so learn from all of them.
    """
    return Study(study.study_name, study._storage)


def _others(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    trials = _whole(study).get_trials(deepcopy=False)
    return [other for other in trials if other.number != trial.number]


def _proposal(trial: FrozenTrial) -> Mapping[str, Any]:
    proposal: Mapping[str, Any] = trial.system_attrs.get(_PROPOSAL, {})
    return proposal


def _middle(domain: Domain) -> dict[str, Choice]:
    """The middle value of every parameter, whether it is active there or not."""
    everything = Domain(domain.parameters)
    return everything.decode(everything.encode([{}]))[0]


def _why_failed(trial: FrozenTrial, reached: bool) -> str | None:
    """Why a finished trial tells nothing but that it failed; `reached` says it finished a rung."""
    if trial.state is State.FAIL:
        return "the objective failed"
    if trial.state is State.PRUNED and not reached:
        return "pruned before the first rung"
    if trial.state is State.COMPLETE and not all(map(math.isfinite, trial.values)):
        return f"expected finite values, got {trial.values}"
    broken = [name for name, value in trial.constraints.items() if value > 0]
    return f"broke the constraints {broken}" if broken else None
