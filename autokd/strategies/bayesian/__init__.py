"""Bayesian optimisation of architectures and settings within a known budget."""

from __future__ import annotations

from autokd.strategies.bayesian.search import BayesianSearch

__all__ = ["BayesianSearch"]
