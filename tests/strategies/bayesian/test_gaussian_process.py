from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm

from autokd.strategies.bayesian.columns import Columns
from autokd.strategies.bayesian.gaussian_process import (
    GaussianProcess,
    Prior,
    _Kernel,
    _Likelihood,
)


def some_columns(n, seed=0, c=2, q=2, f=1):
    rng = np.random.default_rng(seed)
    return Columns(
        rng.integers(-1, 3, size=(n, c)), rng.random((n, q)), rng.standard_normal((n, f))
    )


def some_targets(columns):
    values = columns.numbers.sum(axis=1) + (columns.categories[:, 0] == 1) + columns.features[:, 0]
    return (values - values.mean()) / values.std()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), spread=st.floats(0.1, 2.0))
def test_covariance_is_symmetric_and_positive_definite(seed, spread):
    columns = some_columns(12, seed)
    logs = spread * np.random.default_rng(seed).standard_normal(2 + 3 + 4)
    kernel = _Kernel.of(logs, columns)
    covariance = kernel(columns, columns)
    np.testing.assert_allclose(covariance, covariance.T)
    np.testing.assert_allclose(np.diag(covariance), kernel.variance(columns))
    assert np.linalg.eigvalsh(covariance).min() > -1e-8


def test_covariance_is_the_formula_written_out():
    columns = Columns(np.array([[0], [1]]), np.array([[0.2], [0.5]]), np.array([[1.0], [-2.0]]))
    logs = np.log([0.7, 0.4, 1.5, 1, 2.0, 1e-3, 0.3])
    logs[3] = np.log(0.25 / 0.75)

    def matern(r):
        return (1 + 5**0.5 * r + 5 / 3 * r * r) * np.exp(-(5**0.5) * r)

    factors = [np.exp(-0.7), matern(0.3 / 0.4), matern(3 / 11 / 1.5)]
    expected = 2.0 * (0.25 * np.mean(factors) + 0.75 * np.prod(factors)) + 0.3 * (1 - 2.0)
    assert _Kernel.of(logs, columns)(columns, columns)[0, 1] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_slope_of_the_likelihood_is_that_of_finite_differences(seed):
    columns = some_columns(10, seed)
    likelihood = _Likelihood(columns, some_targets(columns), Prior())
    scaled = 0.5 * np.random.default_rng(seed).standard_normal(9)
    _, slope = likelihood._loss_and_slope(scaled)
    by_steps = approx_fprime(scaled, lambda at: likelihood._loss_and_slope(at)[0], 1e-6)
    np.testing.assert_allclose(slope, by_steps, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("noise", [0.05, 0.8])
def test_hyper_parameters_are_drawn_as_probable_as_the_values_make_them(noise):
    # All but the noise are as good as fixed, so that its density can be had by a grid.
    fixed = dict.fromkeys(("category_weight", "length", "mean_share", "scale"), (0.0, 1e-06))
    prior = Prior(**fixed, shared=0.0, noise=(np.log(0.3), 1.0), slope=(np.log(0.3), 1e-6))
    columns, rng = some_columns(12), np.random.default_rng(0)
    targets = some_targets(columns) + noise**0.5 * rng.standard_normal(12)
    drawn = GaussianProcess.drawn(columns, targets, 300, rng, prior)
    kernel = drawn[0]._kernel(columns, columns)
    grid = np.log(0.3) + np.linspace(-5, 5, 400)
    heights = np.array(
        [multivariate_normal.logpdf(targets, cov=kernel + np.exp(log) * np.eye(12)) for log in grid]
    )
    weights = np.exp(heights - heights.max()) * norm.pdf(grid - np.log(0.3))
    weights /= weights.sum()
    mean = weights @ grid
    logs = np.log([process.noise for process in drawn])
    assert np.mean(logs) == pytest.approx(mean, abs=0.2)
    assert np.std(logs) == pytest.approx(np.sqrt(weights @ (grid - mean) ** 2), rel=0.2)


def test_scales_have_a_part_in_common_a_priori():
    columns, prior = some_columns(4, c=2, q=2, f=1), Prior()
    likelihood = _Likelihood(columns, some_targets(columns), prior)
    middle = likelihood.logs(np.zeros(9))
    root = np.stack([likelihood.logs(row) - middle for row in np.eye(9)], axis=1)
    covariance = np.diag(
        [prior.category_weight[1] ** 2] * 2
        + [prior.length[1] ** 2] * 3
        + [spread**2 for _, spread in (prior.mean_share, prior.scale, prior.noise, prior.slope)]
    )
    covariance[:2, :2] += prior.shared**2
    covariance[2:5, 2:5] += prior.shared**2
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-12)
    shift = np.log(5) / 2
    assert middle[:2] == pytest.approx(prior.category_weight[0] - shift)
    assert middle[2:5] == pytest.approx(prior.length[0] + shift)


def test_without_values_to_compare_the_most_probable_scales_are_those_of_the_prior():
    likelihood = _Likelihood(some_columns(1), np.zeros(1), Prior())
    assert likelihood.maximise()[:5] == pytest.approx(np.zeros(5), abs=1e-3)


def test_the_most_probable_hyper_parameters_are_at_a_summit():
    columns = some_columns(30)
    likelihood = _Likelihood(columns, some_targets(columns), Prior())
    found = likelihood.maximise()
    loss, slope = likelihood._loss_and_slope(found)
    assert loss < likelihood._loss_and_slope(np.zeros(9))[0] - 1
    assert np.abs(slope).max() < 0.1


def test_exact_values_leave_no_less_noise_than_rounding_needs():
    columns = some_columns(100, c=0, q=1, f=0)
    exact = np.sin(3 * columns.numbers[:, 0])
    process = GaussianProcess(columns, (exact - exact.mean()) / exact.std())
    assert 1e-6 <= process.noise < 1e-4


def test_covariances_are_finite_however_short_the_lengths():
    columns = some_columns(6, c=0, q=300, f=0)
    logs = np.array([*[-5.0] * 300, 0.0, 0.0, -7.0, -7.0])
    covariance = _Kernel.of(logs, columns)(columns, columns)
    assert np.isfinite(covariance).all()


def test_what_was_observed_without_noise_is_predicted_and_the_unknown_is_uncertain():
    columns = some_columns(25)
    targets = some_targets(columns)
    process = GaussianProcess(columns, targets)
    mean, deviation = process.predict(columns)
    np.testing.assert_allclose(mean, targets, atol=0.1)
    far = Columns(np.full((1, 2), 2), np.array([[5.0, -5.0]]), np.array([[9.0]]))
    assert process.predict(far)[1][0] > 3 * deviation.max()


def test_an_additive_function_is_extrapolated_to_new_combinations():
    columns, asked = some_columns(40, seed=1), some_columns(40, seed=2)
    truth = some_targets(columns.join(asked))
    process = GaussianProcess(columns, truth[:40])
    assert np.corrcoef(process.predict(asked)[0], truth[40:])[0, 1] > 0.95


def test_given_values_count_like_observed_ones():
    columns, more = some_columns(10), some_columns(5, seed=3)
    process = GaussianProcess(columns, some_targets(columns))
    informed = process.given(more, np.array([3.0, -3.0, 3.0, -3.0, 3.0]))
    mean, deviation = informed.predict(more)
    assert (np.sign(mean) == [1, -1, 1, -1, 1]).all()
    assert (deviation < process.predict(more)[1]).all()


def test_what_is_fitted_is_what_is_predicted_of_the_known():
    columns = some_columns(10)
    targets = some_targets(columns)
    process = GaussianProcess(columns, targets).given(columns, targets + 1)  # they contradict
    assert np.allclose(process.fitted, process.predict(columns.join(columns))[0])
    assert np.allclose(process.fitted[:10], targets + 0.5, atol=0.2)


def test_samples_have_the_predicted_mean_and_deviation():
    columns, asked = some_columns(10), some_columns(3, seed=4)
    process = GaussianProcess(columns, some_targets(columns))
    rng = np.random.default_rng(0)
    drawn = np.stack([process.sample(asked, rng) for _ in range(1000)])
    mean, deviation = process.predict(asked)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.1)
    np.testing.assert_allclose(drawn.std(axis=0), deviation, rtol=0.1)


def test_equal_targets_are_no_obstacle():
    columns = some_columns(6)
    mean, deviation = GaussianProcess(columns, np.zeros(6)).predict(columns)
    np.testing.assert_allclose(mean, 0, atol=1e-9)
    assert np.isfinite(deviation).all()
