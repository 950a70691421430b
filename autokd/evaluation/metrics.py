"""How well a network classifies a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autokd.data import as_pixels
from autokd.trial import CalibrationBin

if TYPE_CHECKING:
    from autokd.data import ImageSet

_BATCH_SIZE = 512


def evaluate(
    network: nn.Module, images: ImageSet, classes: int
) -> tuple[dict[str, float], tuple[CalibrationBin, ...]]:
    """Scores of a classifier on a split, in evaluation mode; the network's mode is given back.

    Args:
        network: takes pixels in [0, 1] (n, channels, height, width), gives logits (n, classes).
        images: the split, on the network's device.
        classes: number of classes.

    Returns:
        `"accuracy"`, share of right answers in [0, 1]; `"loss"`, mean cross-entropy in nats;
        `"ece"`, expected calibration error in [0, 1]. And the bins that the last is made of.

    Raises:
        ValueError: the logits are not of shape (n, classes).
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            losses, confidences, right = _predict(network, images, classes)
    finally:
        network.train(was_training)
    calibration = calibrate(confidences, right)
    scores = {
        "accuracy": float(right.double().mean()),
        "loss": float(losses.double().mean()),
        "ece": expected_calibration_error(calibration),
    }
    return scores, calibration


def calibrate(confidences: Tensor, right: Tensor, bins: int = 15) -> tuple[CalibrationBin, ...]:
    """How often predictions of about one confidence are right.

    Args:
        confidences: probability of the predicted class (n,), in [0, 1].
        right: whether the prediction was right (n,), bool.
        bins: number of bins B of equal confidence width; bin b holds ((b - 1) / B, b / B].

    Returns:
        The bins that hold any, by ascending confidence.
    """
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidences.device)
    index = torch.bucketize(confidences.double(), edges[1:-1])
    counts = torch.bincount(index, minlength=bins)
    held = counts > 0
    sums = (torch.bincount(index, of.double(), minlength=bins) for of in (confidences, right))
    means = ((total[held] / counts[held]).tolist() for total in sums)
    return tuple(map(CalibrationBin, counts[held].tolist(), *means))


def expected_calibration_error(calibration: Sequence[CalibrationBin]) -> float:
    """How far confidence is from accuracy, averaged over the bins.

    Σ_b (n_b / n) · |accuracy of bin b - mean confidence of bin b|.

    References:
        Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.

    Returns:
        The error in [0, 1]; 0 is perfectly calibrated.
    """
    gaps = sum(each.count * abs(each.accuracy - each.confidence) for each in calibration)
    return gaps / sum(each.count for each in calibration)


def _predict(network: nn.Module, images: ImageSet, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, confidence and rightness (n,) of each prediction, on the CPU."""
    parts = []
    order = torch.arange(len(images), device=images.labels.device)
    for indices, pixels in images.batches(order, _BATCH_SIZE):
        logits = network(as_pixels(pixels))
        if logits.shape != (len(indices), classes):
            raise ValueError(
                f"expected logits of shape {(len(indices), classes)}, got {tuple(logits.shape)}"
            )
        labels = images.labels[indices]
        confidence, predicted = logits.softmax(dim=1).max(dim=1)
        losses = F.cross_entropy(logits, labels, reduction="none")
        parts.append((losses, confidence, predicted == labels))
    losses, confidences, right = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return losses, confidences, right
