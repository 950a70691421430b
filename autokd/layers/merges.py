"""Ways to make one tensor of several of the same shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GatedSum(nn.Module):
    """Sum in which inputs are weighted by learned scalars: `Σ sigmoid(wᵢ) · xᵢ`.

    Inputs beyond the first `gated` are added as they are, for those that a layer of their own has
    already scaled.

    Args:
        gated: number of weighted inputs, at least 1; every weight starts at 1.

    References:
        S. Xie, A. Kirillov, R. Girshick, K. He, "Exploring Randomly Wired Neural Networks for Image
        Recognition", ICCV 2019.
    """

    def __init__(self, gated: int) -> None:
        super().__init__()
        if gated < 1:
            raise ValueError(f"expected at least one gated input, got {gated}")
        self.gates = nn.Parameter(torch.ones(gated))

    def forward(self, *inputs: Tensor) -> Tensor:
        """The sum, in a new tensor of the inputs' shape; needs at least `gated` inputs."""
        gates = torch.sigmoid(self.gates).unbind()
        total = inputs[0] * gates[0]
        # In place, so that a merge of any number of inputs makes one tensor.
        for value, gate in zip(inputs[1 : len(gates)], gates[1:], strict=True):
            total.addcmul_(value, gate)
        for value in inputs[len(gates) :]:
            total.add_(value)
        return total

    def extra_repr(self) -> str:
        """The number of gates."""
        return str(len(self.gates))


class Mean(nn.Module):
    """Mean of two or more inputs of the same shape, in a new tensor."""

    def forward(self, first: Tensor, second: Tensor, *others: Tensor) -> Tensor:
        """The mean over the inputs, not over any of their dimensions."""
        total = first + second
        for value in others:
            total.add_(value)
        return total.div_(len(others) + 2)
