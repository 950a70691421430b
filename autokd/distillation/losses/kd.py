"""Hinton's knowledge distillation: match the teacher's softened class probabilities."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from autokd.distillation.loss import DistillationLoss
from autokd.distillation.output import ModelOutput


class KDLoss(DistillationLoss):
    """T² · KL(softmax(z_t / T) ‖ softmax(z_s / T)), averaged over the batch.

    The factor T² keeps the gradient's size when the temperature T changes. For large T the loss
    tends to |z_s - z_t|² / (2 · classes) of logits with their mean taken off: logit matching.

    Deviation: the paper minimises the cross-entropy with the softened teacher. The divergence
    differs from it by the teacher's entropy, which is constant for the student, so the gradients
    are equal; and it is zero when the student agrees with its teacher.

    References:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", NIPS Deep Learning
        Workshop, 2014 (arXiv 1503.02531).

    Args:
        temperature: T, positive; larger values show more of the small probabilities.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        if not (temperature > 0 and math.isfinite(temperature)):
            raise ValueError(f"temperature: expected a positive number, got {temperature}")
        self.temperature = float(temperature)

    def forward(self, student: ModelOutput, teacher: ModelOutput, targets: Tensor) -> Tensor:
        """The loss of one batch; `targets` are not used."""
        log_student = F.log_softmax(student.logits / self.temperature, dim=1)
        log_teacher = F.log_softmax(teacher.logits / self.temperature, dim=1)
        divergence = F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
        return divergence * self.temperature**2

    def extra_repr(self) -> str:
        """The arguments, as printed inside a module."""
        return f"temperature={self.temperature:g}"
