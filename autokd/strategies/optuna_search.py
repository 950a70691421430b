"""Any sampler of Optuna as a search strategy."""

from __future__ import annotations

import copy
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseGASampler, BaseSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as State

from autokd.errors import Mistake, SpecError, UnknownNameError
from autokd.space import Choice
from autokd.strategies.base import Problem
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.observations import Observations
from autokd.trial import Suggestion, Trial, TrialState

_ALIASES = {
    "tpe": "TPESampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
    "gp": "GPSampler",
}
_ASKS = 10
"""How often the sampler is asked before the nearest candidate is taken."""

_NOTES = "optuna"
_NO_TIME = datetime(1970, 1, 1)


class OptunaSearch:
    """Proposes with a sampler of Optuna.

    For every suggestion an Optuna study is rebuilt in memory from the record, so that the record
    is the only state. A sampler's own notes about a trial (the generation in NSGA-II, say) go into
    the record with the trial and come back from it. What it draws when it works something out from
    the trials (which of a niche survive in NSGA-III, say) is drawn anew each time.

    What the sampler is told of a trial:
        - The values of the objectives at one rung; see `Observations`.
        - A trial that has not got so far is running if it is queued or running, so that the sampler
          keeps away from it; and pruned, with its last value, if it is paused.
        - A trial that failed, was over budget or has an unknown objective is failed. All samplers
          ignore those; the budget is a filter and need not be learned.

    A proposal that is over budget or known already is asked for again a few times, while the
    refused ones stay in the sampler's view as running. Failing that, the nearest candidate that
    will do is proposed.

    Args:
        problem: what is searched.
        sampler: `tpe`, `nsga2`, `nsga3`, `gp`, or the name of a class in `optuna.samplers`.
        options: arguments of the sampler. Its seed comes from the study.

    Raises:
        UnknownNameError: there is no such sampler.
        SpecError: the sampler does not take these options, or cannot search this problem.

    References:
        T. Akiba, S. Sano, T. Yanase, T. Ohta and M. Koyama, "Optuna: a next-generation
        hyperparameter optimization framework", KDD 2019.
    """

    def __init__(
        self, problem: Problem, sampler: str, options: Mapping[str, Any] | None = None
    ) -> None:
        self._problem = problem
        self._domain = problem.domain
        self._class = _sampler_class(sampler)
        self._options = dict(options or {})
        self._check_options()

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        with _quiet():
            study = self._rebuild(observations, seed=int(rng.integers(2**31)))
        refused = []
        for _ in range(_ASKS):
            with _quiet():
                point = self._ask(study)
            candidate = self._problem.candidate(point, rng)
            if finder.accepts(candidate):
                break
            refused.append(candidate)
        else:
            candidate = finder.find(refused)
        return Suggestion(candidate.architecture, candidate.distillation, _notes_of(study))

    def _rebuild(self, observations: Observations, seed: int) -> optuna.Study:
        """The Optuna study of the record, with a new sampler."""
        study = optuna.create_study(
            sampler=self._make_sampler(seed),
            directions=[objective.direction for objective in self._problem.objectives],
        )
        study.add_trials(
            self._told(trial, observations.rung, known)
            for trial, known in zip(observations.trials, observations.known, strict=True)
        )
        _recall(study, observations.trials)
        return study

    def _ask(self, study: optuna.Study) -> dict[str, Choice]:
        """A point of the joint domain; parameters are asked for only where they are active."""
        asked = study.ask()
        point: dict[str, Choice] = {}
        for name, distribution in self._domain.parameters.items():
            if self._domain.is_active(name, point):
                point[name] = _suggest(asked, name, distribution)
        return point

    def _told(self, trial: Trial, rung: int, known: bool) -> FrozenTrial:
        """What the sampler is told of a trial, whose values at the rung are known or not."""
        values = None
        intermediate = {}
        if known:
            state = State.COMPLETE
            figures = trial.figures_at(rung) or {}
            values = [objective.value(figures) for objective in self._problem.objectives]
        elif trial.state in (TrialState.QUEUED, TrialState.RUNNING):
            state = State.RUNNING
        elif trial.state is TrialState.PAUSED and trial.evaluations[-1].epochs < rung:
            state = State.PRUNED
            last = trial.evaluations[-1].epochs
            # Optuna has no place for several intermediate values at one step.
            if len(self._problem.objectives) == 1:
                intermediate = {last: self._problem.objectives[0].value(trial.figures)}
        else:
            state = State.FAIL
        point = self._problem.join(trial.architecture.choices, trial.distillation)
        # In the order of asking: some samplers read a tree of decisions from it.
        params = {name: point[name] for name in self._domain.parameters if name in point}
        return _Told(
            number=trial.number,
            trial_id=trial.number,
            state=state,
            value=None,
            values=values,
            datetime_start=_NO_TIME,
            datetime_complete=None if state is State.RUNNING else _NO_TIME,
            params=params,
            distributions={name: self._domain.parameters[name] for name in params},
            user_attrs={},
            system_attrs=dict(trial.notes.get(_NOTES, {}).get("trial", {})),
            intermediate_values=intermediate,
        )

    def _make_sampler(self, seed: int) -> BaseSampler:
        seeded = "seed" in inspect.signature(self._class.__init__).parameters
        options: dict[str, Any] = {**self._options, **({"seed": seed} if seeded else {})}
        return self._class(**options)

    def _check_options(self) -> None:
        """Tries the sampler on an empty record, so that a mistake shows before the study runs."""
        if "seed" in self._options:
            raise _wrong_options("the sampler's seed follows from the study's; leave `seed` out")
        try:
            with _quiet():
                self._ask(self._rebuild(Observations.of(self._problem, []), seed=0))
        except (TypeError, ValueError) as error:
            raise _wrong_options(f"{self._class.__name__} does not work here: {error}") from error


class _Told(FrozenTrial):
    """A trial as the sampler sees it.

    Optuna copies every trial that it is given, distributions and all, which would take most of the
    time of a suggestion. These are made for one suggestion and never changed: no copy is needed.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> _Told:
        return copy.copy(self)


def _sampler_class(name: str) -> type[BaseSampler]:
    """The class in `optuna.samplers` of that name or short name."""
    known = {
        class_name: getattr(optuna.samplers, class_name)
        for class_name in optuna.samplers.__all__
        if not inspect.ismodule(getattr(optuna.samplers, class_name))
    }
    class_name = _ALIASES.get(name, name)
    if class_name not in known or inspect.isabstract(known[class_name]):
        usable = [n for n, sampler in known.items() if not inspect.isabstract(sampler)]
        raise UnknownNameError("Optuna sampler", name, [*_ALIASES, *usable])
    if class_name == "CmaEsSampler":
        mistake = "CmaEsSampler keeps its state as a pickle in the record, and none is ever loaded"
        raise SpecError("the study", [Mistake("strategy.sampler", mistake, "use `cmaes`")])
    sampler_class: type[BaseSampler] = known[class_name]
    return sampler_class


def _wrong_options(message: str) -> SpecError:
    return SpecError("the study", [Mistake("strategy.options", message)])


def _suggest(asked: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """Asks for one parameter through the public interface of a trial."""
    if isinstance(distribution, CategoricalDistribution):
        return asked.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return asked.suggest_int(name, low, high, step=distribution.step, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    ends = distribution.low, distribution.high
    return asked.suggest_float(name, *ends, step=distribution.step, log=distribution.log)


def _notes_of(study: optuna.Study) -> dict[str, Any]:
    """What the sampler must find again, of the newest trial and of the study; JSON data."""
    newest = study.get_trials(deepcopy=False)[-1].system_attrs
    # A copy of the parameters, for processes that share a database while the sampler works.
    trial = {key: value for key, value in newest.items() if "relative_params" not in key}
    # Lists are caches of what follows from the trials.
    attributes = study._storage.get_study_system_attrs(study._study_id)
    whole = {k: v for k, v in attributes.items() if isinstance(v, int | float | str)}
    notes = {"trial": trial, "study": whole}
    return {_NOTES: {k: v for k, v in notes.items() if v}} if trial or whole else {}


def _recall(study: optuna.Study, trials: Sequence[Trial]) -> None:
    """Gives the study what the sampler noted about it last, and works out what follows from it."""
    noted = [t.notes[_NOTES]["study"] for t in trials if "study" in t.notes.get(_NOTES, {})]
    for key, value in (noted[-1] if noted else {}).items():
        study._storage.set_study_system_attr(study._study_id, key, value)
    sampler = study.sampler
    if isinstance(sampler, BaseGASampler) and sampler.population_size:
        # The parents of a generation follow from those of the one before. Asked for the newest
        # only, Optuna would recurse through all of them, too deep when there are many.
        for generation in range(1, len(trials) // sampler.population_size + 1):
            sampler.get_parent_population(study, generation)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Optuna's log lines and warnings to itself: they are about studies nobody sees."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
