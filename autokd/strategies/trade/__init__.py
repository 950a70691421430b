"""Trust-region Bayesian optimisation on BoTorch; loads torch, so only who uses it imports it."""

from __future__ import annotations

from autokd.strategies.trade.search import TRADE

__all__ = ["TRADE"]
