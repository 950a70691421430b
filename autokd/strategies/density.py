"""Kernel density of mixed points: how likely a point is under a sample of others."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

_RULE_OF_THUMB = 1.06
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class KernelDensity:
    """The density of n points in d columns: a mean of products of one kernel per column.

        p(x) = 1/n · Σ_i Π_j k_j(x_j, X_ij)

    A number has a Gaussian kernel of standard deviation h around the point's value, truncated to
    [0, 1], so that no probability is lost beyond the ends of the range. A category of c has the
    kernel 1 - h for the point's own category and h / (c - 1) for each other one. The density
    therefore sums and integrates to 1 over all categories and the unit cube of the numbers.

    Bandwidths follow the normal reference rule: h = 1.06 · s · n ** (-1 / (4 + d)) for a column of
    standard deviation s. That of a category is sqrt((1 - Σ p²) / 2) for shares p: it does not
    depend on the order of the categories, and for two of them it is the standard deviation of the
    numbers 0 and 1. At h = 1 - 1/c all categories are equally likely; h is never larger.

    Args:
        points: (n, d) values in [0, 1], a category at the middle of its equal share; no NaN. See
            `Domain.encode`.
        categories: (d,) number of categories of each column, at least 2; 0 for a number.
        least: the least bandwidth, so that columns without spread stay possible elsewhere.

    Attributes:
        bandwidths: (d,).

    References:
        J. Aitchison and C. G. G. Aitken, "Multivariate binary discrimination by the kernel method",
        Biometrika, 1976: the kernel of categories. B. W. Silverman, "Density estimation for
        statistics and data analysis", Chapman and Hall, 1986: the rule, with its factor for one
        column, as BOHB has it. The deviation of categories is ours.
    """

    def __init__(self, points: np.ndarray, categories: np.ndarray, least: float = 1e-3) -> None:
        self._points = points
        self._categories = categories
        n, d = points.shape
        bandwidths = _RULE_OF_THUMB * self._deviations() * n ** (-1 / (4 + d))
        largest = np.where(categories > 0, 1 - 1 / np.maximum(categories, 1), np.inf)
        self.bandwidths: np.ndarray = np.minimum(np.maximum(bandwidths, least), largest)

    def log_density(self, rows: np.ndarray) -> np.ndarray:
        """The natural logarithm of the density at (m, d) rows: (m,)."""
        n = len(self._points)
        kernels = np.zeros((len(rows), n))
        for j, (count, h) in enumerate(zip(self._categories, self.bandwidths, strict=True)):
            own, other = self._points[:, j], rows[:, j, None]
            if count:
                same = _index(other, count) == _index(own, count)
                kernels += np.where(same, math.log1p(-h), math.log(h / (count - 1)))
            else:
                low, high = _mass_below(own, h)
                kernels -= ((other - own) / h) ** 2 / 2 + np.log(h * (high - low)) + _LOG_SQRT_2PI
        result: np.ndarray = logsumexp(kernels, axis=1) - math.log(n)
        return result

    def sample(self, n: int, rng: np.random.Generator, widening: float = 1.0) -> np.ndarray:
        """`n` rows drawn from the density, whose numbers' bandwidths are `widening` times as wide.

        Returns:
            (n, d) values, coded as the points are.
        """
        rows = self._points[rng.integers(len(self._points), size=n)]
        for j, (count, h) in enumerate(zip(self._categories, self.bandwidths, strict=True)):
            own, uniform = rows[:, j], rng.random(n)
            if count:
                step = rng.integers(1, count, size=n)
                moved = ((_index(own, count) + step) % count + 0.5) / count
                rows[:, j] = np.where(uniform < h, moved, own)
            else:
                low, high = _mass_below(own, widening * h)
                drawn = own + widening * h * ndtri(low + uniform * (high - low))
                rows[:, j] = np.clip(drawn, 0, 1)
        return rows

    def _deviations(self) -> np.ndarray:
        """(d,) standard deviations of the columns."""
        deviations: np.ndarray = self._points.std(axis=0)
        for j in np.flatnonzero(self._categories):
            index = _index(self._points[:, j], self._categories[j])
            shares = np.bincount(index, minlength=self._categories[j]) / len(index)
            deviations[j] = math.sqrt((1 - (shares**2).sum()) / 2)
        return deviations


def _index(values: np.ndarray, count: int) -> np.ndarray:
    """The 0-based category of values in [0, 1]."""
    result: np.ndarray = np.minimum(values * count, count - 1).astype(int)
    return result


def _mass_below(centre: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Mass of Gaussians below 0 and below 1: the truncation keeps what lies between."""
    low: np.ndarray = ndtr(-centre / h)
    high: np.ndarray = ndtr((1 - centre) / h)
    return low, high
