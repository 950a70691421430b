"""Accuracy, loss and calibration of a classifier, in closed form."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autokd.data import TensorImages
from autokd.evaluation import calibrate, evaluate, expected_calibration_error
from autokd.trial import CalibrationBin

torch.set_num_threads(1)


def ece(confidences: list[float], right: list[bool], bins: int = 15) -> float:
    return expected_calibration_error(
        calibrate(torch.tensor(confidences), torch.tensor(right), bins)
    )


def test_always_sure_and_right_is_perfectly_calibrated() -> None:
    assert ece([1.0] * 4, [True] * 4) == 0


def test_always_sure_and_wrong_is_the_worst() -> None:
    assert ece([1.0] * 4, [False] * 4) == 1


def test_one_bin_gives_accuracy_less_confidence() -> None:
    # Confidences of 0.81 to 0.84 share the bin from 12/15 to 13/15; half of them are right.
    assert ece([0.81, 0.82, 0.83, 0.84], [True, False, True, False]) == pytest.approx(0.325)


def test_bins_are_weighted_by_their_share_and_do_not_cancel() -> None:
    # |1 - 0.5| for three quarters of the images and |0 - 0.9| for one quarter.
    found = ece([0.5, 0.5, 0.5, 0.9], [True, True, True, False])
    assert found == pytest.approx(0.75 * 0.5 + 0.25 * 0.9)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    # With 2 bins, 0.5 shares a bin with 0.25 and not with 1: |1 - 0.75| + |0 - 1|.
    found = ece([0.25, 0.5, 1.0], [True, False, False], bins=2)
    assert found == pytest.approx((abs(1 - 0.75) + 1) / 3)


def test_a_bin_tells_how_many_how_sure_and_how_often_right() -> None:
    # Of four bins the last, (0.75, 1], holds two, the second, (0.25, 0.5], three; two hold none.
    confidences = torch.tensor([0.8, 0.3, 0.4, 1.0, 0.5])
    right = torch.tensor([True, False, True, True, False])
    low, high = calibrate(confidences, right, bins=4)
    assert low == CalibrationBin(3, pytest.approx(0.4), pytest.approx(1 / 3))
    assert high == CalibrationBin(2, pytest.approx(0.9), 1.0)


def brute_force_ece(confidences: list[float], right: list[bool], bins: int) -> float:
    total = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = [
            (c, r)
            for c, r in zip(confidences, right, strict=True)
            if low < c <= high or c == low == 0
        ]
        total += abs(sum(r - c for c, r in inside))
    return total / len(right)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=30),
    bins=st.integers(1, 20),
)
@settings(max_examples=50, deadline=None)
def test_equals_the_definition_written_out(pairs: list[tuple[int, bool]], bins: int) -> None:
    # Multiples of 0.01 shifted off the edges, where rounding decides.
    confidences = [(100 * percent + 0.5) / 10_001 for percent, _ in pairs]
    right = [is_right for _, is_right in pairs]
    found = calibrate(torch.tensor(confidences, dtype=torch.float64), torch.tensor(right), bins)
    assert sum(each.count for each in found) == len(right)
    expected = brute_force_ece(confidences, right, bins)
    assert expected_calibration_error(found) == pytest.approx(expected, abs=1e-9)


class Lookup(nn.Module):
    """Logits that are written in the pixels: value of pixel i is 255 · exp(logit of class i)."""

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        assert images.dtype == torch.float32 and 0 <= images.min() <= images.max() <= 1
        return images.flatten(1).clamp_min(1e-30).log()


def split(rows: list[list[int]], labels: list[int]) -> TensorImages:
    pixels = torch.tensor(rows, dtype=torch.uint8).reshape(len(rows), 1, 1, -1)
    return TensorImages(pixels, torch.tensor(labels))


def test_scores_follow_from_the_probabilities() -> None:
    # Probabilities (0.8, 0.2), (0.6, 0.4), (0.2, 0.8): right, wrong, right.
    images = split([[204, 51], [153, 102], [51, 204]], [0, 1, 1])
    scores, calibration = evaluate(Lookup(), images, classes=2)
    assert scores == {
        "accuracy": pytest.approx(2 / 3),
        "loss": pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.8)) / 3),
        "ece": pytest.approx((2 * 0.2 + 0.6) / 3),
    }
    assert calibration == (
        CalibrationBin(1, pytest.approx(0.6), 0.0),
        CalibrationBin(2, pytest.approx(0.8), 1.0),
    )


def test_batches_do_not_show_in_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(1, 255, (23, 5), generator=generator)
    images = split(rows.tolist(), (torch.arange(23) % 5).tolist())
    whole = evaluate(Lookup(), images, classes=5)
    monkeypatch.setattr("autokd.evaluation.metrics._BATCH_SIZE", 4)
    assert evaluate(Lookup(), images, classes=5) == whole
    logits = (rows / 255).log()
    assert whole[0]["loss"] == pytest.approx(F.cross_entropy(logits, images.labels).item())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_network_is_given_back(training: bool) -> None:
    network = Lookup().train(training)
    evaluate(network, split([[1, 2]], [0]), classes=2)
    assert network.training is training


def test_the_network_does_not_learn_from_it() -> None:
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    evaluate(network, split([[1, 2], [3, 4]], [0, 1]), classes=2)
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_logits_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected logits of shape \(1, 3\), got \(1, 2\)"):
        evaluate(Lookup(), split([[1, 2]], [0]), classes=3)
