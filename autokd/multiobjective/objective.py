"""What is wanted of a student: a metric and the direction in which it gets better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Objective:
    """One axis of the Pareto front.

    Values keep the sign that users know. "Smaller is better" is a convention of this package
    alone; `loss` is the way into it.

    Attributes:
        metric: name of a figure of the trial: of its cost, or of its newest evaluation.
        direction: whether more or less of it is better.
    """

    metric: str
    direction: Literal["maximize", "minimize"]

    def __post_init__(self) -> None:
        if self.direction not in ("maximize", "minimize"):
            raise ValueError(f"direction must be 'maximize' or 'minimize', got {self.direction!r}")

    def value(self, figures: Mapping[str, float]) -> float:
        """The figure as users know it; NaN if it was not measured."""
        return float(figures.get(self.metric, math.nan))

    def loss(self, figures: Mapping[str, float]) -> float:
        """The figure with the sign that makes smaller better; NaN if it was not measured."""
        value = self.value(figures)
        return -value if self.direction == "maximize" else value


def losses(objectives: Sequence[Objective], figures: Iterable[Mapping[str, float]]) -> np.ndarray:
    """The losses of many trials.

    Args:
        objectives: m objectives.
        figures: figures by name, of n trials.

    Returns:
        An (n, m) array; smaller is better, NaN where a figure was not measured, or is infinite.
    """
    names = [objective.metric for objective in objectives]
    signs = [-1.0 if objective.direction == "maximize" else 1.0 for objective in objectives]
    # The sign is given to whole columns: fronts of 10,000 trials are asked for while people wait.
    rows = [[one.get(name, math.nan) for name in names] for one in figures]
    table: np.ndarray = np.array(rows, dtype=float).reshape(len(rows), len(names)) * signs
    table[np.isinf(table)] = math.nan
    return table
