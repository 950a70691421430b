"""Several objectives at once: which trials are the best compromises, and how good a front is."""

from __future__ import annotations

from autokd.multiobjective.dominance import (
    best_first,
    crowding_distance,
    is_non_dominated,
    non_dominated_ranks,
)
from autokd.multiobjective.hypervolume import hypervolume, hypervolume_history
from autokd.multiobjective.objective import Objective, losses
from autokd.multiobjective.pareto_front import ParetoFront

__all__ = [
    "Objective",
    "ParetoFront",
    "best_first",
    "crowding_distance",
    "hypervolume",
    "hypervolume_history",
    "is_non_dominated",
    "losses",
    "non_dominated_ranks",
]
