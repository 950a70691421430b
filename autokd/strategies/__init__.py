"""Search strategies: what to evaluate next, and which trials may train on."""

from __future__ import annotations

from autokd.strategies.as_optuna import as_optuna_sampler
from autokd.strategies.base import Candidate, Problem, SpaceExhausted, Strategy, named_candidate
from autokd.strategies.bayesian import BayesianSearch
from autokd.strategies.bohb import BOHBSearch
from autokd.strategies.evolution import RegularizedEvolution
from autokd.strategies.feasible import CandidateFinder
from autokd.strategies.gain import GainPerEpoch
from autokd.strategies.halving import Fidelity, SuccessiveHalving
from autokd.strategies.observations import Observations
from autokd.strategies.optuna_search import OptunaSearch
from autokd.strategies.random_search import RandomSearch

__all__ = [
    "BOHBSearch",
    "BayesianSearch",
    "Candidate",
    "CandidateFinder",
    "Fidelity",
    "GainPerEpoch",
    "Observations",
    "OptunaSearch",
    "Problem",
    "RandomSearch",
    "RegularizedEvolution",
    "SpaceExhausted",
    "Strategy",
    "SuccessiveHalving",
    "as_optuna_sampler",
    "named_candidate",
]
