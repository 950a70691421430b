"""SMAC's random forest as a search strategy; importing this needs the extra `smac`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from autokd.errors import AutokdError
from autokd.space import Choices, Domain
from autokd.strategies.base import Problem
from autokd.strategies.codes import code_of, range_of, value_of
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.observations import Observations
from autokd.trial import Suggestion, Trial

try:
    from ConfigSpace import Configuration, ConfigurationSpace, InCondition
    from ConfigSpace.hyperparameters import (
        CategoricalHyperparameter,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )
    from smac import HyperparameterOptimizationFacade as Facade
    from smac import Scenario
    from smac.acquisition.function import EI
    from smac.acquisition.maximizer import RandomSearch
    from smac.model.random_forest.random_forest import RandomForest
    from smac.multi_objective.parego import ParEGO
    from smac.runhistory import RunHistory, StatusType, TrialInfo
except ImportError as error:
    raise AutokdError(
        f"expected the package `smac` for the strategy `smac`; got: {error}",
        hint='pip install "autokd[smac]"',
    ) from error

_RANDOM = 1000
"""Random points, in the order of their expected improvement, after those of the local search."""


class SMACSearch:
    """Bayesian optimisation with a random forest that knows the conditions of the domain.

    For every suggestion the run history is rebuilt from the record, the forest is trained on it,
    and the first of SMAC's challengers that is within the budget and new is proposed: those of
    its local search, one in five of them random, and then random points in the order of their
    expected improvement. Improvement and search are those of SMAC's facade for hyperparameters,
    with its settings. Several objectives become one by weights that are drawn for each suggestion.
    Pending trials are told as running: SMAC keeps them out of the forest. Failed ones are not told.

    Args:
        problem: what is searched.
        initial: as long as fewer trials are known, points are uniform; at least 1.

    References:
        M. Lindauer, K. Eggensperger, M. Feurer, A. Biedenkapp, D. Deng, C. Benjamins, T. Ruhkopf,
        R. Sass and F. Hutter, "SMAC3: a versatile Bayesian optimization package for hyperparameter
        optimization", Journal of Machine Learning Research, 2022. J. Knowles, "ParEGO: a hybrid
        algorithm with on-line landscape approximation for expensive multiobjective optimization
        problems", IEEE Transactions on Evolutionary Computation, 2006: several objectives. Here the
        initial design is uniform within the budget and not a Sobol sequence, the forest is trained
        anew for every suggestion and not for every eighth, and nothing is evaluated twice. SMAC
        keeps the points that its local search begins at in a set: proposals follow from the seed
        within a process, and in another one only with the same `PYTHONHASHSEED`.
    """

    def __init__(self, problem: Problem, initial: int = 10) -> None:
        if initial < 1:
            raise ValueError(f"expected at least 1 initial trial, got {initial}")
        self._problem = problem
        self._domain = problem.domain
        self._initial = initial
        self._space = _configuration_space(self._domain)

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        enough = observations.known.sum() >= self._initial and self._domain.parameters
        found = self._challengers(observations, int(rng.integers(2**31))) if enough else []
        candidate = finder.first(self._problem.candidate(self._point(one), rng) for one in found)
        return Suggestion(candidate.architecture, candidate.distillation)

    def _challengers(self, observations: Observations, seed: int) -> list[Configuration]:
        """Configurations in the order in which SMAC would try them."""
        scenario = Scenario(  # writes no files unless it is saved, which only a facade does
            self._space,
            objectives=[f"loss_{index}" for index in range(len(self._problem.objectives))],
            deterministic=True,
            seed=seed,
        )
        self._space.seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SMAC takes means of nothing
            improvement, told = self._improvement(observations, scenario)
            search = Facade.get_acquisition_maximizer(scenario)
            search.acquisition_function = improvement
            spread = RandomSearch(self._space, improvement, challengers=_RANDOM, seed=seed)
            found = chain(
                search.maximize(told, random_design=Facade.get_random_design(scenario)),
                spread.maximize(told),
            )
            return list(islice(found, self._problem.affordable))

    def _improvement(
        self, observations: Observations, scenario: Scenario
    ) -> tuple[EI, list[Configuration]]:
        """Expected improvement under a forest of the record, and the configurations in it."""
        scalarise = ParEGO(scenario)
        scalarise.update_on_iteration_start()
        history = self._history(observations, scalarise)
        encoder = Facade.get_runhistory_encoder(scenario)
        encoder.multi_objective_algorithm = scalarise
        encoder.runhistory = history
        rows, losses = encoder.transform()
        model = _forest(scenario, len(rows)).train(rows, losses)
        predicted, _ = model.predict_marginalized(rows)
        improvement = Facade.get_acquisition_function(scenario)
        improvement.update(model=model, eta=predicted.min(), num_data=len(rows), X=rows)
        return improvement, history.get_configs()

    def _history(self, observations: Observations, scalarise: ParEGO) -> RunHistory:
        """What SMAC is told of the record: the trials that are known or pending."""
        history = RunHistory(scalarise, n_objectives=len(self._problem.objectives))
        known = observations.known
        low, spread = observations.losses[known].min(0), np.ptp(observations.losses[known], axis=0)
        # SMAC scales them too, but then takes the logarithm of 0 where they are large.
        costs = (observations.losses - low) / np.where(spread > 0, spread, 1)
        for index, trial in enumerate(observations.trials):
            # The seed tells two draws of one generator apart.
            if known[index]:
                told = self._configuration(trial), costs[index].tolist()
                history.add(*told, seed=index, status=StatusType.SUCCESS)
            elif observations.pending[index]:
                history.add_running_trial(TrialInfo(self._configuration(trial), seed=index))
        return history

    def _configuration(self, trial: Trial) -> Configuration:
        point = self._problem.join(trial.architecture.choices, trial.distillation)
        parameters = self._domain.parameters
        codes = {name: code_of(value, parameters[name]) for name, value in point.items()}
        return Configuration(self._space, values=codes)

    def _point(self, configuration: Configuration) -> Choices:
        parameters = self._domain.parameters
        point = {name: value_of(code, parameters[name]) for name, code in configuration.items()}
        return self._domain.canonical(point)


def _forest(scenario: Scenario, n: int) -> RandomForest:
    """The forest of the facade for `n` trials.

    No tree can have more leaves than trials. The facade allows a million, for which scikit-learn
    reserves memory: with 40 trials that takes 1.4 s of 1.9 s for a suggestion, threads or not.
    """
    return RandomForest(
        scenario.configspace,
        log_y=True,
        n_trees=10,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_leaf_nodes=max(n, 2),
        n_jobs=1,
        seed=scenario.seed,
    )


def _configuration_space(domain: Domain) -> ConfigurationSpace:
    """The domain with its conditions as SMAC knows it; see `code_of` for the values."""
    space = ConfigurationSpace()
    for name, distribution in domain.parameters.items():
        space.add(_hyperparameter(name, distribution))
    for name, condition in domain.conditions.items():
        parent = domain.parameters[condition.parent]
        values = [code_of(value, parent) for value in condition.values]
        space.add(InCondition(space[name], space[condition.parent], values))
    return space


def _hyperparameter(name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return CategoricalHyperparameter(name, list(range(len(distribution.choices))))
    ends, whole = range_of(distribution)
    if distribution.single():
        return CategoricalHyperparameter(name, ends[:1])
    numeric = UniformIntegerHyperparameter if whole else UniformFloatHyperparameter
    return numeric(name, *ends, log=getattr(distribution, "log", False))
