"""Ax's default Bayesian optimisation as a search strategy; importing this needs the extra `ax`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from autokd.errors import AutokdError
from autokd.space import Choice, Choices
from autokd.strategies.base import Problem
from autokd.strategies.codes import code_of, range_of, value_of
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.observations import Observations
from autokd.trial import Suggestion, Trial

_muted = logging.root.manager.disable
try:
    logging.disable(logging.WARNING)  # Ax logs that it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as do its dependencies that they are outdated
        from ax.api.client import Client
        from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
        from ax.exceptions.core import SearchSpaceExhausted
        from ax.utils.common.logger import ROOT_STREAM_HANDLER
except ImportError as error:
    raise AutokdError(
        f"expected the package `ax-platform` for the strategy `ax`; got: {error}",
        hint='pip install "autokd[ax]"',
    ) from error
finally:
    logging.disable(_muted)

_ASKS = 3
"""How often Ax is asked, for a second or two, before the nearest candidate is taken."""


class AxSearch:
    """Bayesian optimisation with a Gaussian process, as Ax chooses it for a problem.

    For every suggestion an experiment of Ax is rebuilt in memory from the record. Trials that are
    known are told as completed and pending ones as running; others are not told. A proposal that is
    over budget or known is asked for again a few times, while the refused ones count as running.
    Failing that, the nearest candidate that will do is proposed. Several objectives are weighed by
    the expected growth of the hypervolume, from the point that Ax infers; at the first suggestion
    BoTorch then compiles a part of itself, if there is a compiler, which takes half a minute once.

    Ax's own model knows no conditions: the domain is told as if all parameters always existed. One
    that is absent in a trial is told as the middle of its range or its first category, and what is
    proposed for one that does not exist is dropped.

    Args:
        problem: what is searched.
        initial: as long as fewer trials are known, points are uniform; at least 1.

    References:
        M. Olson, E. Santorella, L. C. Tiao and others, "Ax: a platform for adaptive
        experimentation", AutoML 2025. Here the first points are uniform within the budget and not
        the middle of the domain and a Sobol sequence.
    """

    def __init__(self, problem: Problem, initial: int = 5) -> None:
        if initial < 1:
            raise ValueError(f"expected at least 1 initial trial, got {initial}")
        self._problem = problem
        self._domain = problem.domain
        self._initial = initial
        parameters = self._domain.parameters.items()
        self._varied = {name: value for name, value in parameters if not value.single()}
        self._fixed = {
            name: value_of(_middle(value), value) for name, value in parameters if value.single()
        }

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        observations = Observations.of(self._problem, trials)
        finder = CandidateFinder(self._problem, observations.trials, rng)
        enough = observations.known.sum() >= self._initial and self._varied
        found = self._asked(observations, int(rng.integers(2**31))) if enough else ()
        candidate = finder.first(self._problem.candidate(point, rng) for point in found)
        return Suggestion(candidate.architecture, candidate.distillation)

    def _asked(self, observations: Observations, seed: int) -> Iterator[Choices]:
        """A few points that Ax proposes one after the other; fewer if it has no more."""
        with _quiet():
            client = self._client(observations, seed)
        for _ in range(_ASKS):
            try:
                with _quiet():
                    (codes,) = client.get_next_trials(max_trials=1).values()
            except SearchSpaceExhausted:  # of all that Ax can tell apart
                return
            yield self._point(codes)

    def _client(self, observations: Observations, seed: int) -> Client:
        """The experiment of the record; its seed is that of all that Ax draws."""
        client = Client(random_seed=seed)
        client.configure_experiment([_parameter(*item) for item in self._varied.items()])
        metrics = [f"loss_{index}" for index in range(len(self._problem.objectives))]
        client.configure_optimization(", ".join(f"-{metric}" for metric in metrics))
        client.configure_generation_strategy(initialization_budget=0, initialize_with_center=False)
        rows = zip(
            observations.trials,
            observations.losses.tolist(),
            observations.known,
            observations.pending,
            strict=True,
        )
        for trial, losses, known, pending in rows:
            if known or pending:
                index = client.attach_trial(self._codes(trial))
            if known:
                client.complete_trial(index, dict(zip(metrics, losses, strict=True)))
        return client

    def _codes(self, trial: Trial) -> dict[str, int | float]:
        """The point of a trial as Ax is told it: a number for every parameter that varies."""
        point = self._problem.join(trial.architecture.choices, trial.distillation)
        return {
            name: code_of(point[name], distribution) if name in point else _middle(distribution)
            for name, distribution in self._varied.items()
        }

    def _point(self, codes: Mapping[str, int | float]) -> Choices:
        """The canonical point that the numbers stand for."""
        point: dict[str, Choice] = {
            name: value_of(code, self._varied[name]) for name, code in codes.items()
        }
        return self._domain.canonical({**self._fixed, **point})


def _parameter(
    name: str, distribution: BaseDistribution
) -> ChoiceParameterConfig | RangeParameterConfig:
    """A parameter as Ax knows it; see `code_of` for the values."""
    if isinstance(distribution, CategoricalDistribution):
        indices = list(range(len(distribution.choices)))
        return ChoiceParameterConfig(name, indices, "int", is_ordered=False)
    ends, whole = range_of(distribution)
    scaling = "log" if getattr(distribution, "log", False) else "linear"
    return RangeParameterConfig(name, ends, "int" if whole else "float", scaling=scaling)


def _middle(distribution: BaseDistribution) -> int | float:
    """The number of the middle of the range, or of the first category."""
    if isinstance(distribution, CategoricalDistribution):
        return 0
    (low, high), whole = range_of(distribution)
    middle = (low * high) ** 0.5 if getattr(distribution, "log", False) else (low + high) / 2
    return round(middle) if whole else middle


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the log lines and warnings of Ax and what it stands on to themselves."""
    extensions = logging.getLogger("torch.utils.cpp_extension")
    levels = ROOT_STREAM_HANDLER.level, extensions.level
    ROOT_STREAM_HANDLER.setLevel(logging.CRITICAL)
    extensions.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ROOT_STREAM_HANDLER.setLevel(levels[0])
        extensions.setLevel(levels[1])
