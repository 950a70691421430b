"""A network that takes plain pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from autokd.task import Task


class Normalised(nn.Module):
    """A network behind its own normalisation: takes pixels in [0, 1], gives what `network` gives.

    Teacher and student each own theirs, so that both see the same images and an exported file
    needs no preprocessing but the division by 255. A grey image is repeated when the network
    expects more channels.

    Args:
        network: takes normalised images (n, channels, height, width).
        mean: per channel of the network's input.
        std: per channel, positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std) <= 0:
            raise ValueError(
                f"expected as many positive deviations as means, got mean {mean} and std {std}"
            )
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of `images` (n, channels or 1, height, width), float in [0, 1]."""
        # Broadcasting against (channels, 1, 1) repeats a single grey channel.
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


def bare(network: nn.Module, task: Task) -> tuple[nn.Module, Task]:
    """The network behind its normalisation, if it has one, and the task as that network sees it.

    The images of that task have as many channels as the network takes: grey ones are repeated.
    """
    if not isinstance(network, Normalised):
        return network, task
    channels, height, width = task.input_shape
    channels = max(channels, network.mean.numel())
    return network.network, replace(task, input_shape=(channels, height, width))
