"""Candidates as columns of numbers: what the model of a search sees of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.distributions import CategoricalDistribution

from autokd.space import Domain

_ABSENT_NUMBER = 0.5
"""Stands for a number that is not there. That it is not there, its parent's category tells."""

_LEAST_SPREAD = 1e-6
"""Of a feature that is the same everywhere."""


@dataclass(frozen=True)
class Columns:
    """n candidates as the model sees them; or n points of their learning curves.

    Attributes:
        categories: (n, c) indices; that a category is absent is one more index.
        numbers: (n, q) values in [0, 1], ordinals among them.
        features: (n, f) logarithms of what is known without training, in standard deviations of
            what the study has met.
    """

    categories: np.ndarray
    numbers: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.categories)

    def __getitem__(self, rows: np.ndarray | slice | list[int]) -> Columns:
        return Columns(self.categories[rows], self.numbers[rows], self.features[rows])

    def join(self, other: Columns) -> Columns:
        """The candidates of both, these first."""
        return Columns(
            np.concatenate([self.categories, other.categories]),
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.features, other.features]),
        )


class Encoder:
    """Turns points and figures into columns.

    Args:
        domain: the joint domain.
        logs: (n, f) logarithms of the figures of the candidates that the study has met; their
            spread scales the features.
        inputs: which of the f become features; by default all.
    """

    def __init__(
        self, domain: Domain, logs: np.ndarray, inputs: Sequence[int] | None = None
    ) -> None:
        varying = [
            (index, distribution)
            for index, distribution in enumerate(domain.parameters.values())
            if not distribution.single()
        ]
        self._counts = [
            (index, len(distribution.choices))
            for index, distribution in varying
            if isinstance(distribution, CategoricalDistribution)
        ]
        categories = {index for index, _ in self._counts}
        self._numbers = [index for index, _ in varying if index not in categories]
        self._inputs = list(range(logs.shape[1]) if inputs is None else inputs)
        self._middle = logs[:, self._inputs].mean(axis=0)
        self._spread = np.maximum(logs[:, self._inputs].std(axis=0), _LEAST_SPREAD)

    @property
    def counts(self) -> list[int]:
        """Categories of each column of them; that one is absent is not counted."""
        return [count for _, count in self._counts]

    def columns(self, units: np.ndarray, logs: np.ndarray) -> Columns:
        """The columns of n candidates.

        Args:
            units: (n, d) rows of `Domain.encode`.
            logs: (n, f) logarithms of their figures.
        """
        categories = np.full((len(units), len(self._counts)), -1)
        for column, (index, count) in enumerate(self._counts):
            there = ~np.isnan(units[:, index])
            categories[there, column] = (units[there, index] * count).astype(int)
        numbers = np.nan_to_num(units[:, self._numbers], nan=_ABSENT_NUMBER)
        features = (logs[:, self._inputs] - self._middle) / self._spread
        return Columns(categories, numbers, features)
