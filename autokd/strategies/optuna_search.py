"""Any sampler of Optuna as a search strategy."""

from __future__ import annotations

import copy
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseGASampler, BaseSampler, CmaEsSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as State

from autokd.errors import AutokdError, Mistake, SpecError, UnknownNameError
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
_PICKLED = ("cma:", "sepcma:", "cmawm:")
"""What the attributes begin with in which `CmaEsSampler` keeps pickles: never written, nor read."""

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
    A sampler's `after_trial` is not called: one that learns there learns nothing.

    A proposal that is over budget or known already is asked for again a few times, while the
    refused ones stay in the sampler's view as running. Failing that, the nearest candidate that
    will do is proposed.

    Args:
        problem: what is searched.
        sampler: `tpe`, `nsga2`, `nsga3`, `gp`, the name of a class in `optuna.samplers`, or a class
            (see `hub_sampler`).
        options: arguments of the sampler. Its seed comes from the study.

    Raises:
        UnknownNameError: there is no such sampler.
        SpecError: the sampler does not take these options, or cannot search this problem.

    References:
        T. Akiba, S. Sano, T. Yanase, T. Ohta and M. Koyama, "Optuna: a next-generation
        hyperparameter optimization framework", KDD 2019.
    """

    def __init__(
        self,
        problem: Problem,
        sampler: str | type[BaseSampler],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._problem = problem
        self._domain = problem.domain
        self._class = sampler_class(sampler) if isinstance(sampler, str) else sampler
        if issubclass(self._class, CmaEsSampler):
            mistake = f"{self._class.__name__} keeps its state as a pickle, and none is ever loaded"
            raise SpecError("the study", [Mistake("strategy.sampler", mistake, "use `cmaes`")])
        self._options = dict(options or {})
        self._check_options()

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        with quiet():
            study = self._rebuild(observations, seed=int(rng.integers(2**31)))
        points = (self._ask(study) for _ in range(_ASKS))
        candidate = finder.first(self._problem.candidate(point, rng) for point in points)
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
        point: dict[str, Choice] = {}
        with quiet():
            asked = study.ask()
            for name, distribution in self._domain.parameters.items():
                if self._domain.is_active(name, point):
                    point[name] = _suggest(asked, name, distribution)
        return self._domain.canonical(point)

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
        return Told(
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
            system_attrs=_without_pickles(trial.notes.get(_NOTES, {}).get("trial", {})),
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
            with quiet():
                self._ask(self._rebuild(Observations.of(self._problem, []), seed=0))
        except (TypeError, ValueError) as error:
            raise _wrong_options(f"{self._class.__name__} does not work here: {error}") from error


def hub_sampler(
    package: str, class_name: str | None = None, ref: str = "main", registry: Path | None = None
) -> type[BaseSampler]:
    """A sampler of OptunaHub, for `OptunaSearch`.

    This downloads Python code from github.com/optuna/optunahub-registry, unless it was downloaded
    before, and runs it with all the rights of this process. Nobody has checked that code for us.

    Args:
        package: path in the registry, `samplers/auto_sampler` say.
        class_name: class in the package; may be left out if there is only one sampler.
        ref: branch, tag or commit of the registry. A commit never changes; what a branch held at
            the first download is kept.
        registry: folder to load from instead of downloading; it holds `<package>/__init__.py`.

    Raises:
        AutokdError: OptunaHub is not installed, or the package cannot be downloaded or imported.
        UnknownNameError: there is no such class in the package.
    """
    try:
        import optunahub
        from git.exc import GitError
        from github import GithubException
    except ImportError as error:
        message = f"expected the package `optunahub` for the sampler {package!r}; got: {error}"
        raise AutokdError(message, hint='pip install "autokd[optunahub]"') from error
    try:
        if registry is None:
            module = optunahub.load_module(package, ref=ref)
        else:
            module = optunahub.load_local_module(package, registry_root=str(registry))
    except ImportError as error:
        hint = f"pip install -r https://hub.optuna.org/{package}/requirements.txt"
        raise AutokdError(f"cannot import {package!r} of OptunaHub: {error}", hint=hint) from error
    except (GitError, GithubException, OSError) as error:
        hint = "look the name up at https://hub.optuna.org, and check the network"
        raise AutokdError(f"cannot load {package!r} of OptunaHub: {error}", hint=hint) from error
    samplers = _samplers_of(module)
    if class_name is None and len(samplers) == 1:
        return next(iter(samplers.values()))
    if class_name not in samplers:
        raise UnknownNameError(f"class of {package!r}", class_name or "", samplers)
    return samplers[class_name]


def _samplers_of(package: ModuleType) -> dict[str, type[BaseSampler]]:
    """The samplers that a package defines, not those that it imports, by name."""
    return {
        name: value
        for name, value in vars(package).items()
        if inspect.isclass(value)
        and issubclass(value, BaseSampler)
        and not inspect.isabstract(value)
        and value.__module__.startswith(package.__name__)
    }


class Told(FrozenTrial):
    """A trial of a rebuilt study, as Optuna sees it.

    Optuna copies every trial that it is given, distributions and all, which would take most of the
    time of a suggestion. These are made for one study and never changed: no copy is needed.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> Told:
        return copy.copy(self)


def sampler_class(name: str) -> type[BaseSampler]:
    """The class in `optuna.samplers` of that name or short name. Raises UnknownNameError."""
    known = {
        class_name: getattr(optuna.samplers, class_name)
        for class_name in optuna.samplers.__all__
        if not inspect.ismodule(getattr(optuna.samplers, class_name))
    }
    class_name = _ALIASES.get(name, name)
    if class_name not in known or inspect.isabstract(known[class_name]):
        usable = [n for n, sampler in known.items() if not inspect.isabstract(sampler)]
        raise UnknownNameError("Optuna sampler", name, [*_ALIASES, *usable])
    found: type[BaseSampler] = known[class_name]
    return found


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
    trial = {k: v for k, v in _without_pickles(newest).items() if "relative_params" not in k}
    # Lists are caches of what follows from the trials.
    attributes = study._storage.get_study_system_attrs(study._study_id)
    whole = {k: v for k, v in attributes.items() if isinstance(v, int | float | str)}
    notes = {"trial": trial, "study": whole}
    return {_NOTES: {k: v for k, v in notes.items() if v}} if trial or whole else {}


def _without_pickles(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if not key.startswith(_PICKLED)}


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
def quiet() -> Iterator[None]:
    """Keeps Optuna's log lines and warnings to itself: they are about studies nobody sees."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
