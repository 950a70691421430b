"""ResNets for small images: three stages of basic blocks behind a 3x3 stem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

_NARROW = (16, 16, 32, 64)
_TIMES_FOUR = (32, 64, 128, 256)

RESNETS: dict[str, tuple[int, Sequence[int]]] = {
    "resnet8": (8, _NARROW),
    "resnet14": (14, _NARROW),
    "resnet20": (20, _NARROW),
    "resnet32": (32, _NARROW),
    "resnet44": (44, _NARROW),
    "resnet56": (56, _NARROW),
    "resnet110": (110, _NARROW),
    "resnet8x4": (8, _TIMES_FOUR),
    "resnet32x4": (32, _TIMES_FOUR),
}
"""Depth and widths (stem, three stages) of each ResNet that has a name in the literature."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut.

    `preactivation` computes nothing: it is where a hook finds the sum before the last ReLU.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        stride: of the first convolution; the output is `stride` times smaller.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        self.preactivation = nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, h, w) to (n, channels_out, h / stride, w / stride)."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return cast(Tensor, self.relu2(self.preactivation(residual + self.downsample(x))))


class ResNet(nn.Module):
    """ResNet of depth 6n + 2 for images of 8x8 pixels and more.

    The stages work at full, half and quarter resolution. Parameters are named as in the CRD
    benchmark (RepDistiller, mdistiller), so that teachers published there can be loaded.

    Args:
        depth: number of layers with weights on the longest path, 6n + 2.
        widths: channels of the stem and of the three stages.
        channels: of the image.
        classes: number of classes.

    Raises:
        ValueError: the depth is not 6n + 2 with n of at least 1.

    References:
        K. He, X. Zhang, S. Ren, J. Sun. "Deep Residual Learning for Image Recognition". CVPR 2016,
        section 4.2. Deviation: where the shape changes, the shortcut is a strided 1x1 convolution
        with batch normalisation (option B) instead of the paper's zero padding (option A); the CRD
        benchmark (Y. Tian, D. Krishnan, P. Isola. "Contrastive Representation Distillation".
        ICLR 2020) and its successors do so, and their figures are the ones to compare with.
    """

    def __init__(self, depth: int, widths: Sequence[int], channels: int, classes: int) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"expected a depth of 6n + 2 (8, 14, 20, ...), got {depth}")
        stem, *stages = widths
        self.conv1 = nn.Conv2d(channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU()
        self.layer1 = _stage(stem, stages[0], blocks, stride=1)
        self.layer2 = _stage(stages[0], stages[1], blocks, stride=2)
        self.layer3 = _stage(stages[1], stages[2], blocks, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(stages[2], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of normalised images (n, channels, height, width)."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return cast(Tensor, self.fc(self.flatten(self.avgpool(x))))


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride)
    rest = (BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
