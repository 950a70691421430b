"""The interface of all distillation losses."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from autokd.distillation.output import ModelOutput


class DistillationLoss(nn.Module, ABC):
    """How far a student's output is from its teacher's; one class per paper.

    The loss carries the paper's own scaling (such as T² in `KDLoss`) but no weight: weights are the
    scheme's. Parameters of a loss, if it has any, are trained together with the student.
    """

    @abstractmethod
    def forward(self, student: ModelOutput, teacher: ModelOutput, targets: Tensor) -> Tensor:
        """The loss of one batch, averaged over its images.

        Args:
            student: of the network that learns; logits (n, classes).
            teacher: for the same views of the same images; carries no gradient.
            targets: labels (n,), int64.

        Returns:
            A scalar that can be differentiated with respect to the student's output.
        """
