"""A Gaussian process over architectures and settings: what to expect where nothing was tried."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from autokd.strategies.bayesian.columns import Columns

_SQRT5 = math.sqrt(5)
_JITTER = 1e-6
_FEATURE_SCALE = 11.0
"""So many standard deviations of a feature count as the whole range of a number, so that its length
is longer: most choices change it, and what it explains changes with it more slowly."""

_MOST_STEPS = 40
_MOST_SPREADS = 6.0
"""Of each number that the hyper-parameters are made of (`_Likelihood.logs`), at most."""

_STEPS_PER_DRAW = 8
_LEAST_ARC = 1e-6
"""An arc of hyper-parameters that has shrunk to this holds nothing but where it began."""

FIT_ROWS = 200
"""Hyper-parameters are fitted to so many rows at most; the posterior uses all."""

_BLOCK = 32_000
"""Covariances that are computed at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class Prior:
    """Normal priors of the logarithms of the hyper-parameters: mean and standard deviation of each.

    The lengths grow and the weights fall with the number d of columns: with more of them, each is
    expected to say less.
    """

    category_weight: tuple[float, float] = (-0.5, 0.5)
    """The mean is shifted by -log(d) / 2."""
    length: tuple[float, float] = (-1.5, 0.5)
    """Of numbers and features. The mean is shifted by log(d) / 2."""
    shared: float = 1.0
    """Standard deviation of what all weights have in common beside that, and of what all lengths
    have: few values tell whether all columns matter much, long before they tell which."""
    mean_share: tuple[float, float] = (0.0, 1.0)
    """Of the logit."""
    scale: tuple[float, float] = (0.0, 1.0)
    noise: tuple[float, float] = (math.log(1e-3), 2.0)
    slope: tuple[float, float] = (math.log(0.3), 1.0)


class GaussianProcess:
    """Posterior of one objective over candidates.

    The covariance of two candidates is a mean and a product over their c + q + f columns, so that
    it can say both "this choice matters by itself" and "this combination is like no other", and a
    linear part in the features:

        s [ share · mean_i k_i + (1 - share) · prod_i k_i ] + slope · (1 + f · f')

    with k_i = exp(-w_i) for two different categories and the Matérn-5/2 function of |x - x'| / l_i
    for numbers and features. The hyper-parameters are the most probable ones under `Prior`, or
    draws of what is probable (`drawn`).

    Args:
        columns: n candidates, n >= 1.
        targets: (n,) values with mean 0 and standard deviation 1, or so.
        prior: of the hyper-parameters.

    References:
        C. Hvarfner, E. O. Hellsten and L. Nardi, "Vanilla Bayesian optimization performs great in
        high dimensions", ICML 2024: priors that change with the dimension; their middles and
        spreads, and that scales have a part in common, are ours. B. Ru, A. Alvi, V. Nguyen,
        M. A. Osborne and S. Roberts, "Bayesian optimisation over multiple continuous and
        categorical inputs", ICML 2020: sum and product of kernels; here the sum is over single
        columns, with the linear part ours.
    """

    def __init__(self, columns: Columns, targets: np.ndarray, prior: Prior | None = None) -> None:
        likelihood = _likelihood(columns, targets, prior)
        logs = likelihood.logs(likelihood.maximise())
        self._condition(_Kernel.of(logs, columns), columns, targets)

    @classmethod
    def drawn(
        cls,
        columns: Columns,
        targets: np.ndarray,
        count: int,
        rng: np.random.Generator,
        prior: Prior | None = None,
    ) -> list[GaussianProcess]:
        """Processes whose hyper-parameters are draws from what is probable, not the most probable.

        A few values leave much open: what one process is sure of, another may deny.
        """
        draws = _likelihood(columns, targets, prior).draws(count, rng)
        return [cls._of(_Kernel.of(logs, columns), columns, targets) for logs in draws]

    @classmethod
    def _of(cls, kernel: _Kernel, columns: Columns, targets: np.ndarray) -> GaussianProcess:
        process = object.__new__(cls)
        process._condition(kernel, columns, targets)
        return process

    @property
    def noise(self) -> float:
        """Variance of the noise, in units of the targets'; never below what rounding needs."""
        return self._kernel.noise + _JITTER

    def given(self, columns: Columns, targets: np.ndarray) -> GaussianProcess:
        """The same process, with more values known; the hyper-parameters stay."""
        everything = np.concatenate([self._targets, targets])
        return self._of(self._kernel, self._columns.join(columns), everything)

    def knowing(self, rows: np.ndarray) -> GaussianProcess:
        """The same process, with these of its values alone; the hyper-parameters stay."""
        return self._of(self._kernel, self._columns[rows], self._targets[rows])

    def _condition(self, kernel: _Kernel, columns: Columns, targets: np.ndarray) -> None:
        self._kernel, self._columns, self._targets = kernel, columns, targets
        covariance = kernel(columns, columns)
        covariance[np.diag_indices(len(targets))] += self.noise
        self._factor = cholesky(covariance, lower=True)
        self._weights = cho_solve((self._factor, True), targets)

    @property
    def fitted(self) -> np.ndarray:
        """(n,) means, without noise, at the candidates that it was made of: no kernel is needed."""
        means: np.ndarray = self._targets - self.noise * self._weights
        return means

    def predict(self, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, each (n,), of the value without noise."""
        covariance = self._kernel(columns, self._columns)
        explained = solve_triangular(self._factor, covariance.T, lower=True)
        variance = self._kernel.variance(columns) - (explained**2).sum(axis=0)
        return covariance @ self._weights, np.sqrt(np.maximum(variance, 1e-10))

    def sample(self, columns: Columns, rng: np.random.Generator) -> np.ndarray:
        """(n,) values drawn jointly, without noise."""
        covariance = self._kernel(columns, self._columns)
        explained = solve_triangular(self._factor, covariance.T, lower=True)
        joint = self._kernel(columns, columns) - explained.T @ explained
        joint[np.diag_indices(len(columns))] += _JITTER
        root = cholesky(joint, lower=True)
        drawn: np.ndarray = covariance @ self._weights + root @ rng.standard_normal(len(columns))
        return drawn


def _likelihood(columns: Columns, targets: np.ndarray, prior: Prior | None) -> _Likelihood:
    rows = representative(targets)
    return _Likelihood(columns[rows], targets[rows], prior or Prior())


def representative(targets: np.ndarray) -> np.ndarray:
    """Rows to fit the hyper-parameters to: half are the best, the rest an even choice."""
    if len(targets) <= FIT_ROWS:
        return np.arange(len(targets))
    order = np.argsort(targets, kind="stable")
    best, rest = order[: FIT_ROWS // 2], order[FIT_ROWS // 2 :]
    even = rest[np.linspace(0, len(rest) - 1, FIT_ROWS - len(best)).astype(int)]
    return np.sort(np.concatenate([best, even]))


@dataclass(frozen=True)
class _Kernel:
    """The covariance with its hyper-parameters."""

    weights: np.ndarray
    lengths: np.ndarray
    share: float
    scale: float
    noise: float
    slope: float

    @classmethod
    def of(cls, logs: np.ndarray, columns: Columns) -> _Kernel:
        c = columns.categories.shape[1]
        share, scale, noise, slope = logs[-4:]
        return cls(
            np.exp(logs[:c]),
            np.exp(logs[c:-4]),
            1 / (1 + math.exp(-share)),
            math.exp(scale),
            math.exp(noise),
            math.exp(slope),
        )

    def __call__(self, rows: Columns, columns: Columns) -> np.ndarray:
        """(n, m) covariances of n with m candidates."""
        step = max(_BLOCK // max(len(columns), 1), 1)
        parts = [self._block(rows[i : i + step], columns) for i in range(0, len(rows), step)]
        return np.concatenate(parts) if parts else np.empty((0, len(columns)))

    def _block(self, rows: Columns, columns: Columns) -> np.ndarray:
        count = max(len(self.weights) + len(self.lengths), 1)
        shape = len(rows), len(columns)
        total, exponent, factor = np.zeros(shape), np.zeros(shape), np.ones(shape)
        for i, weight in enumerate(self.weights):
            differ = rows.categories[:, None, i] != columns.categories[None, :, i]
            exponent += weight * differ
            total += 1 - (1 - math.exp(-weight)) * differ
        for x, y, length in zip(
            _positions(rows).T, _positions(columns).T, self.lengths, strict=True
        ):
            r = np.abs(x[:, None] - y[None, :])
            r *= _SQRT5 / length
            near = _polynomial(r)
            near *= np.exp(-r)
            factor *= near
            total += near
        factor *= np.exp(-exponent)
        result = self.scale * (self.share / count * total + (1 - self.share) * factor)
        result += self.slope * (1 + rows.features @ columns.features.T)
        return result

    def variance(self, rows: Columns) -> np.ndarray:
        """(n,) covariances of candidates with themselves."""
        linear: np.ndarray = 1 + (rows.features**2).sum(axis=1)
        return self.scale + self.slope * linear


def _positions(columns: Columns) -> np.ndarray:
    """(n, q + f) numbers and features, on scales where 1 is the whole range."""
    return np.concatenate([columns.numbers, columns.features / _FEATURE_SCALE], axis=1)


def _polynomial(r: np.ndarray) -> np.ndarray:
    """1 + r + r² / 3: the Matérn-5/2 function without its exponential. In place is faster."""
    result = r / 3
    result += 1
    result *= r
    result += 1
    return result


class _Likelihood:
    """How probable the hyper-parameters are, given values at candidates.

    Works on the n (n - 1) / 2 pairs of different candidates, as the covariance is symmetric.
    """

    def __init__(self, columns: Columns, targets: np.ndarray, prior: Prior) -> None:
        self._targets = targets
        self._columns = columns
        self._pairs = one, other = np.triu_indices(len(targets), 1)
        categories, positions = columns.categories.T, _positions(columns).T
        self._differ = (categories[:, one] != categories[:, other]).astype(float)
        self._apart = np.abs(positions[:, one] - positions[:, other])
        self._decay = np.empty_like(self._apart)
        self._linear = 1 + columns.features @ columns.features.T
        c, q = len(categories), len(positions)
        shift = math.log(max(c + q, 1)) / 2
        rows = [
            *[(prior.category_weight[0] - shift, prior.category_weight[1])] * c,
            *[(prior.length[0] + shift, prior.length[1])] * q,
            *(prior.mean_share, prior.scale, prior.noise, prior.slope),
        ]
        self._middle, spread = np.array(rows).T
        covariance = np.diag(spread**2)
        for group in slice(c), slice(c, c + q):
            covariance[group, group] += prior.shared**2
        self._root = cholesky(covariance, lower=True)

    def logs(self, scaled: np.ndarray) -> np.ndarray:
        """Logarithms of hyper-parameters, from numbers that are standard normal a priori."""
        logs: np.ndarray = self._middle + self._root @ scaled
        return logs

    def draws(self, count: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Logarithms of hyper-parameters, each as likely as it is probable.

        Elliptical slice sampling, which has nothing to tune, from the most probable ones on.

        References:
            I. Murray, R. P. Adams and D. J. C. MacKay, "Elliptical slice sampling", AISTATS 2010.
        """
        here = self.maximise()
        loss = self._loss(here)
        found = []
        for _ in range(count):
            for _ in range(_STEPS_PER_DRAW):
                here, loss = self._step(here, loss, rng)
            found.append(self.logs(here))
        return found

    def _step(
        self, here: np.ndarray, loss: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, float]:
        """The next of the chain, and its loss."""
        other, most = rng.standard_normal(len(here)), loss + rng.exponential()
        angle = rng.uniform(0, 2 * math.pi)
        low, high = angle - 2 * math.pi, angle
        while high - low > _LEAST_ARC:
            there = here * math.cos(angle) + other * math.sin(angle)
            found = self._loss(there)
            if found <= most:
                return there, found
            low, high = (angle, high) if angle < 0 else (low, angle)
            angle = rng.uniform(low, high)
        return here, loss

    def _loss(self, scaled: np.ndarray) -> float:
        """The negative logarithm of the likelihood."""
        kernel = _Kernel.of(self.logs(scaled), self._columns)
        try:
            factor = cholesky(self._covariance(kernel)[0], lower=True)
        except LinAlgError:
            return math.inf
        white = solve_triangular(factor, self._targets, lower=True)
        return float(white @ white / 2 + np.log(np.diag(factor)).sum())

    def maximise(self) -> np.ndarray:
        """The most probable hyper-parameters, as `logs` takes them."""
        found = minimize(
            self._loss_and_slope,
            np.zeros(len(self._middle)),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_MOST_SPREADS, _MOST_SPREADS)] * len(self._middle),
            options={"maxiter": _MOST_STEPS},
        )
        best: np.ndarray = found.x
        return best

    def _loss_and_slope(self, scaled: np.ndarray) -> tuple[float, np.ndarray]:
        """The negative logarithm of the posterior density and its gradient."""
        kernel = _Kernel.of(self.logs(scaled), self._columns)
        covariance, base, mean, product = self._covariance(kernel)
        n, count, equal = len(base), max(len(scaled) - 4, 1), np.exp(-kernel.weights)
        try:
            factor = cholesky(covariance, lower=True)
        except LinAlgError:
            return 1e10, np.zeros_like(scaled)
        inverse = cho_solve((factor, True), np.eye(n))
        weights = inverse @ self._targets
        loss = self._targets @ weights / 2 + np.log(np.diag(factor)).sum()
        # d loss / d theta = sum(g * d covariance / d theta), in which each pair stands twice
        g = (inverse - np.outer(weights, weights)) / 2
        pairs = 2 * kernel.scale * g[self._pairs]
        through_product = (1 - kernel.share) * pairs * product
        through_mean = kernel.share / count * pairs
        # d near / d log(length) = growth * decay, and growth / polynomial as a share of near
        by_length = [
            (r * r * (1 + r)) @ (through_product / _polynomial(r) + through_mean * decay) / 3
            for r, decay in self._scaled(kernel)
        ]
        by_weight = self._differ @ through_product + equal * (self._differ @ through_mean)
        slope = np.concatenate(
            [
                -kernel.weights * by_weight,
                by_length,
                [
                    kernel.share * (1 - kernel.share) * (pairs @ (mean - product)),
                    kernel.scale * (g * base).sum(),
                    kernel.noise * np.trace(g),
                    kernel.slope * (g * self._linear).sum(),
                ],
            ]
        )
        return float(loss + scaled @ scaled / 2), self._root.T @ slope + scaled

    def _covariance(self, kernel: _Kernel) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(n, n) covariances, the part of them that has the scale, and its mean and product.

        The last two are of the pairs alone. Leaves `_decay` as this kernel has it.
        """
        n, count = len(self._targets), max(len(kernel.weights) + len(kernel.lengths), 1)
        equal = np.exp(-kernel.weights)
        product = np.exp(-(kernel.weights @ self._differ))
        mean = len(equal) - (1 - equal) @ self._differ
        for r, decay in self._scaled(kernel):
            np.exp(-r, out=decay)
            near = _polynomial(r)
            near *= decay
            product *= near
            mean += near
        mean /= count
        base = np.ones((n, n))
        base[self._pairs] = kernel.share * mean + (1 - kernel.share) * product
        base.T[self._pairs] = base[self._pairs]
        covariance = kernel.scale * base + kernel.slope * self._linear
        covariance[np.diag_indices(n)] += kernel.noise + _JITTER
        return covariance, base, mean, product

    def _scaled(self, kernel: _Kernel) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each column's distances in lengths, and where its exponentials are kept.

        Column by column: what is worked on at a time stays in the processor's cache.
        """
        for apart, length, decay in zip(self._apart, kernel.lengths, self._decay, strict=True):
            yield apart * (_SQRT5 / length), decay
