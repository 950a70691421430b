"""The Gaussian process that all trust regions share, on BoTorch and GPyTorch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autokd.strategies.bayesian.columns import Columns
from autokd.strategies.bayesian.gaussian_process import representative

with warnings.catch_warnings():
    # They use what PyTorch is about to retire.
    warnings.simplefilter("ignore")
    from botorch.exceptions.errors import ModelFittingError
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.utils.constraints import LogTransformedInterval
    from gpytorch.kernels import Kernel, MaternKernel
    from gpytorch.mlls import ExactMarginalLogLikelihood
    from gpytorch.priors import LogNormalPrior
    from linear_operator.utils.errors import NanError, NotPSDError

_FIT_STEPS = 20
"""Of L-BFGS, at most."""

_FIT_ATTEMPTS = 2
_MIX = 0.5
_JITTER = 1e-6
_LEAST_VARIANCE = 1e-10


class NoModelError(Exception):
    """Raised if linear algebra failed: the next candidate has to be found without a model."""


class HammingKernel(Kernel):  # type: ignore[misc]  # GPyTorch has no types
    """The function exp(-mean_i [c_i != c'_i] / l_i) of categories, with a length scale l for each.

    BoTorch's `CategoricalKernel` is the same function of indices; of one-hot columns it is a
    product of matrices, which takes a tenth of the time.

    Args:
        groups: for each one-hot column, which category it belongs to.
        options: of `gpytorch.kernels.Kernel`.
    """

    has_lengthscale = True

    def __init__(self, groups: Tensor, **options: Any) -> None:
        super().__init__(**options)
        self._groups = groups

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """See `MixedKernel`."""
        weights = 1 / (self.lengthscale[0] * len(self.lengthscale[0]))
        weighted = x1 * weights[self._groups]
        equal = (weighted * x2).sum(-1) if diag else weighted @ x2.transpose(-1, -2)
        covariance: Tensor = torch.exp(equal - weights.sum())
        return covariance


class MixedKernel(Kernel):  # type: ignore[misc]  # GPyTorch has no types
    """Covariance of points with numbers and categories, with variance 1.

    With k_num the Matérn-5/2 function of the numbers, which has a length scale for each, and k_cat
    the `HammingKernel` of the categories:

        (1 - m) (k_num + k_cat) / 2 + m k_num k_cat,    m = 0.5

    or the one of them whose columns there are.

    Args:
        numbers: how many columns are numbers; they stand before the one-hot columns.
        groups: for each one-hot column, which category it belongs to.

    References:
        X. Wan, V. Nguyen, H. Ha, B. Ru, C. Lu and M. A. Osborne, "Think global and act local:
        Bayesian optimisation over high-dimensional categorical and mixed search spaces", ICML
        2021: the kernel and m. The halved sum, which keeps the variance at 1, is ours; k_cat is
        BoTorch's.
        C. Hvarfner, E. O. Hellsten and L. Nardi, "Vanilla Bayesian optimization performs great in
        high dimensions", ICML 2024: the prior of the numbers' length scales, which grows with
        their number. That of the categories need not grow, as k_cat takes the mean.
    """

    def __init__(self, numbers: int, groups: Tensor) -> None:
        super().__init__()
        self._numbers = numbers
        self.numeric = self.categorical = None
        if numbers:
            prior = LogNormalPrior(math.sqrt(2) + math.log(numbers) / 2, math.sqrt(3))
            self.numeric = MaternKernel(nu=2.5, ard_num_dims=numbers, **_length_scale(prior))
        if len(groups):
            count = int(groups.max()) + 1
            scale = _length_scale(LogNormalPrior(0.0, 0.5))
            self.categorical = HammingKernel(groups, ard_num_dims=count, **scale)

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """The covariance of (n, d) with (m, d) points: (n, m), or (n,) of pairs if `diag`."""
        p = self._numbers
        parts: list[Tensor] = [
            kernel.forward(one, other, diag=diag)
            for kernel, one, other in (
                (self.numeric, x1[..., :p], x2[..., :p]),
                (self.categorical, x1[..., p:], x2[..., p:]),
            )
            if kernel is not None
        ]
        if len(parts) == 1:
            return parts[0]
        numeric, categorical = parts
        return (1 - _MIX) * (numeric + categorical) / 2 + _MIX * numeric * categorical


def _length_scale(prior: LogNormalPrior) -> dict[str, Any]:
    constraint = LogTransformedInterval(0.025, 1000.0, initial_value=float(prior.mode))
    return {"lengthscale_prior": prior, "lengthscale_constraint": constraint}


class Surrogate:
    """What is believed of a loss at points that were not evaluated.

    BoTorch fits the length scales, the mean and the noise to at most 200 rows; they are the most
    probable ones under the priors of `MixedKernel` and BoTorch's prior of the noise. The posterior
    is of all rows, and by the textbook: BoTorch's takes the covariances of all points with each
    other where the variances are enough, and some times as long.

    Args:
        columns: n evaluated points; their features are not used.
        counts: categories of each column of them; that one is absent is not counted.
        targets: (n,) values with mean 0 and standard deviation 1, or so; smaller is better.

    Raises:
        NoModelError: the fit failed.
    """

    def __init__(self, columns: Columns, counts: Sequence[int], targets: np.ndarray) -> None:
        self._states = [count + 1 for count in counts]
        x, y = self._tensor(columns), torch.as_tensor(targets)
        groups = torch.repeat_interleave(torch.tensor(self._states, dtype=torch.long))
        self._kernel = MixedKernel(columns.numbers.shape[1], groups)
        rows = torch.as_tensor(representative(targets))
        with warnings.catch_warnings():
            # Of few steps, and of one of the attempts.
            warnings.simplefilter("ignore")
            self.fitted = SingleTaskGP(
                x[rows], y[rows, None], covar_module=self._kernel, outcome_transform=None
            )
            try:
                fit_gpytorch_mll(
                    ExactMarginalLogLikelihood(self.fitted.likelihood, self.fitted),
                    optimizer_kwargs={"options": {"maxiter": _FIT_STEPS}},
                    max_attempts=_FIT_ATTEMPTS,
                )
            except (ModelFittingError, NanError, NotPSDError) as error:
                raise NoModelError(str(error)) from error
        with torch.no_grad():
            self._mean = self.fitted.mean_module.constant.clone()
            self._noise = self.fitted.likelihood.noise[0].clone()
        self._condition(x, y)

    @property
    def lengths(self) -> np.ndarray:
        """(q,) length scales of the numbers."""
        if self._kernel.numeric is None:
            return np.empty(0)
        lengths: np.ndarray = self._kernel.numeric.lengthscale.detach().numpy()[0]
        return lengths

    @torch.no_grad()
    def predict(self, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, each (n,), of the loss without noise."""
        mean, explained = self._given(self._tensor(columns))
        variance = 1 - (explained**2).sum(dim=0)
        return mean.numpy(), variance.clamp_min(_LEAST_VARIANCE).sqrt().numpy()

    @torch.no_grad()
    def sample(self, columns: Columns, rng: np.random.Generator) -> np.ndarray:
        """(n,) values of one function drawn from the posterior.

        Raises:
            NoModelError: linear algebra failed.
        """
        return self._drawn(self._tensor(columns), rng).numpy()

    @torch.no_grad()
    def imagine(self, columns: Columns, rng: np.random.Generator) -> None:
        """Takes a draw of what the n pending points may give as if it were known.

        Raises:
            NoModelError: linear algebra failed.
        """
        x = self._tensor(columns)
        noise = self._noise.sqrt() * torch.as_tensor(rng.standard_normal(len(x)))
        drawn = self._drawn(x, rng) + noise
        self._condition(torch.cat([self._x, x]), torch.cat([self._y, drawn]))

    @torch.no_grad()
    def _condition(self, x: Tensor, y: Tensor) -> None:
        self._x, self._y = x, y
        self._root = _root(self._kernel.forward(x, x), float(self._noise))
        self._alpha = torch.cholesky_solve((y - self._mean)[:, None], self._root)[:, 0]

    def _given(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) means, and an (N, n) matrix whose square is what the N known values explain."""
        covariance = self._kernel.forward(x, self._x)
        explained = torch.linalg.solve_triangular(self._root, covariance.T, upper=False)
        return self._mean + covariance @ self._alpha, explained

    def _drawn(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        mean, explained = self._given(x)
        root = _root(self._kernel.forward(x, x) - explained.T @ explained, _JITTER)
        return mean + root @ torch.as_tensor(rng.standard_normal(len(x)))

    def _tensor(self, columns: Columns) -> Tensor:
        """(n, d) numbers, then one column for each state of each category, absence the first."""
        states = [
            torch.as_tensor(column[:, None] + 1 == np.arange(count))
            for column, count in zip(columns.categories.T, self._states, strict=True)
        ]
        return torch.cat([torch.as_tensor(columns.numbers), *states], dim=1).double()


def _root(covariance: Tensor, noise: float) -> Tensor:
    """Lower triangular root of a covariance with noise."""
    covariance = covariance + noise * torch.eye(len(covariance), dtype=covariance.dtype)
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        raise NoModelError("a covariance is not positive definite")
    return root


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Inside, torch draws from a generator that `rng` seeds; outside, as if nothing had been."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(int(rng.integers(2**63)))
    try:
        yield
    finally:
        torch.set_rng_state(before)
