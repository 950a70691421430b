from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from autokd.multiobjective import hypervolume
from autokd.strategies.bayesian import acquisition
from autokd.strategies.bayesian.acquisition import log_expected_improvement, log_expected_volume

with warnings.catch_warnings():
    # It uses what PyTorch is about to retire.
    warnings.simplefilter("ignore")
    from botorch.acquisition.analytic import LogExpectedImprovement
    from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
    from botorch.utils.multi_objective.box_decompositions import NondominatedPartitioning
    from botorch.utils.testing import MockModel, MockPosterior


@pytest.mark.parametrize("z", [3.0, 0.0, -0.5, -1.5, -5.0, -30.0, -900.0, -5000.0])
def test_log_expected_improvement_equals_arbitrary_precision(z):
    mpmath.mp.dps = 50
    exact = mpmath.log(mpmath.npdf(z) + z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2)
    if abs(z) > 1000:  # the digits above are spent; the asymptotic series is exact enough
        exact = mpmath.log(mpmath.npdf(z)) - 2 * mpmath.log(abs(z)) + mpmath.log(1 - 3 / z**2)
    ours = log_expected_improvement(np.array([-2 * z]), np.array([2.0]), 0.0)
    assert ours[0] == pytest.approx(float(exact) + np.log(2), rel=1e-7)


def by_sampling(mean, deviation, others, front, reference, draws):
    rng = np.random.default_rng(0)
    before = hypervolume(front, reference)
    grown = []
    for value in mean + deviation * rng.standard_normal(draws):
        point = np.array([value, *others])
        grown.append(hypervolume(np.vstack([front, point]), reference) - before)
    return np.mean(grown)


FRONT_2 = np.array([[0.1, 0.9], [0.4, 0.5], [0.8, 0.2], [0.9, 0.9]])
FRONT_3 = np.array([[0.1, 0.9, 0.5], [0.4, 0.5, 0.2], [0.8, 0.2, 0.6]])


@pytest.mark.parametrize(
    ("front", "others"),
    [(FRONT_2, [0.1]), (FRONT_2, [0.5]), (FRONT_2, [0.7]), (FRONT_3, [0.3, 0.4])],
)
def test_expected_volume_equals_its_average_over_draws(front, others):
    reference = np.ones(front.shape[1])
    ours = log_expected_volume(
        np.array([0.3]), np.array([0.2]), np.array([[others]]), front, reference
    )
    expected = by_sampling(0.3, 0.2, others, front, reference, draws=2000)
    assert np.exp(ours[0]) == pytest.approx(expected, rel=0.1)


def test_draws_of_another_loss_are_averaged():
    reference = np.ones(2)
    mean, deviation = np.array([0.3]), np.array([0.2])
    each = [
        np.exp(log_expected_volume(mean, deviation, np.array([[[x]]]), FRONT_2, reference))[0]
        for x in (0.1, 0.6)
    ]
    both = log_expected_volume(mean, deviation, np.array([[[0.1], [0.6]]]), FRONT_2, reference)
    assert np.exp(both[0]) == pytest.approx(np.mean(each))


def test_with_one_loss_it_is_the_expected_improvement():
    mean, deviation = np.array([0.3, 0.9]), np.array([0.2, 0.1])
    ours = log_expected_volume(
        mean, deviation, np.empty((2, 1, 0)), np.array([[0.5], [0.7]]), np.array([2.0])
    )
    np.testing.assert_allclose(ours, log_expected_improvement(mean, deviation, 0.5))


def test_beyond_the_reference_nothing_is_gained():
    ours = log_expected_volume(
        np.array([0.3]), np.array([0.2]), np.array([[[1.5]]]), FRONT_2, np.ones(2)
    )
    assert ours[0] == -np.inf


def by_botorch(means, variances, make):
    """Of candidates with these (n, m) values to be maximised, by what is made of a model."""
    posterior = MockPosterior(torch.tensor(means)[:, None], torch.tensor(variances)[:, None])
    return make(MockModel(posterior))(torch.zeros(len(means), 1, 1)).numpy()


def test_log_expected_improvement_equals_botorchs():
    mean = np.array([-1.0, 0.0, 0.4, 3.0, 20.0])
    deviation = np.array([0.1, 1.0, 0.5, 0.2, 0.3])
    theirs = by_botorch(
        -mean[:, None], deviation[:, None] ** 2, lambda model: LogExpectedImprovement(model, -0.3)
    )
    ours = log_expected_improvement(mean, deviation, 0.3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("front", [FRONT_2, FRONT_3])
def test_expected_volume_equals_botorchs(front):
    reference = np.ones(front.shape[1])
    known = np.array([[0.05, 0.3], [0.55, 0.45], [0.7, 0.1]])[:, : front.shape[1] - 1]
    mean, deviation = np.array([0.3, 0.6, 0.05]), np.array([0.2, 0.4, 0.1])
    means = -np.column_stack([mean, known])
    variances = np.column_stack([deviation**2, np.full_like(known, 1e-14)])
    cells = NondominatedPartitioning(torch.tensor(-reference), torch.tensor(-front))
    theirs = by_botorch(
        means,
        variances,
        lambda model: ExpectedHypervolumeImprovement(model, (-reference).tolist(), cells),
    )
    ours = log_expected_volume(mean, deviation, known[:, None, :], front, reference)
    np.testing.assert_allclose(np.exp(ours), theirs, rtol=1e-5)


def test_a_large_front_of_several_losses_needs_few_cells(monkeypatch):
    rng = np.random.default_rng(0)
    directions = np.abs(rng.standard_normal((40, 4)))
    front = 1 - 0.7 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    others = rng.uniform(0.3, 0.8, (200, 1, 3))
    candidates = rng.uniform(0.3, 0.6, 200), np.full(200, 0.1), others

    def volumes(most):
        monkeypatch.setattr(acquisition, "_MOST_CELLS", most)
        return log_expected_volume(*candidates, front, np.ones(4))

    few, all_of_them = volumes(8_192), volumes(41**3)
    assert np.abs(few - all_of_them).max() > 1e-3  # something was left out
    # No cell counts as dominated that is not.
    assert (few >= all_of_them - 1e-9).all()
    assert spearmanr(few, all_of_them).statistic > 0.95
