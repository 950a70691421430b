"""The offline scheme: a frozen teacher guides one student.

A *scheme* is the kind of training loop. It owns what is optimised: which networks see a batch, and
which terms, with which weights, make up the loss. This is the first one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autokd.distillation.loss import DistillationLoss
from autokd.distillation.output import ModelOutput

_RESERVED = ("loss", "cross_entropy")


class OfflineDistillation(nn.Module):
    """Scheme: cross-entropy with the labels plus weighted losses against a frozen teacher.

    Without losses it is plain supervised training, which is how teachers and baselines train.
    Terms of weight zero are not computed.

    Args:
        losses: (name, weight, loss) of each; names are unique and become names of metrics.
        task_weight: weight of the labels' cross-entropy; None is `max(0, 1 - sum of weights)`.
        label_smoothing: share in [0, 1) of the labels' mass spread over all classes.

    Raises:
        ValueError: a name is taken, a weight is negative or not finite, or all weights are zero.
    """

    def __init__(
        self,
        losses: Sequence[tuple[str, float, DistillationLoss]] = (),
        task_weight: float | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        weights = {name: float(weight) for name, weight, _ in losses}
        if task_weight is None:
            task_weight = max(0.0, 1.0 - sum(weights.values()))
        _check([name for name, _, _ in losses], [*weights.values(), task_weight], label_smoothing)
        self.losses = nn.ModuleDict({name: loss for name, weight, loss in losses if weight > 0})
        self.weights = {name: weight for name, weight in weights.items() if weight > 0}
        self.task_weight = float(task_weight)
        self.label_smoothing = float(label_smoothing)

    @property
    def needs_teacher(self) -> bool:
        """Whether `forward` reads the teacher's output."""
        return bool(self.weights)

    def forward(
        self, student: ModelOutput, teacher: ModelOutput | None, targets: Tensor
    ) -> dict[str, Tensor]:
        """The terms of one batch, as scalars.

        Args:
            student: logits (n, classes).
            teacher: for the same views; may be None if `needs_teacher` is False.
            targets: labels (n,), int64.

        Returns:
            `"loss"`, the weighted sum to minimise, then each term unweighted by its name, the
            labels' as `"cross_entropy"`.
        """
        terms: dict[str, Tensor] = {}
        total: Tensor | None = None
        if self.task_weight:
            terms["cross_entropy"] = F.cross_entropy(
                student.logits, targets, label_smoothing=self.label_smoothing
            )
            total = terms["cross_entropy"] * self.task_weight
        for name, weight in self.weights.items():
            terms[name] = term = self.losses[name](student, teacher, targets)
            total = term * weight if total is None else torch.add(total, term, alpha=weight)
        assert total is not None  # the constructor refuses a sum of nothing
        return {"loss": total, **terms}


def _check(names: Sequence[str], weights: Sequence[float], label_smoothing: float) -> None:
    if len({*names, *_RESERVED}) < len(names) + len(_RESERVED):
        raise ValueError(f"losses: expected unique names other than {_RESERVED}, got {names}")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"weights: expected finite numbers of at least 0, got {weights}")
    if not any(weights):
        raise ValueError("all weights are zero, so that nothing would be learned; raise one")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing: expected a share in [0, 1), got {label_smoothing}")
