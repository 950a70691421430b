"""Wide residual networks for small images: pre-activation blocks, few layers, many channels."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

from torch import Tensor, nn


class PreActivationBlock(nn.Module):
    """Batch normalisation and ReLU before each of two 3x3 convolutions, around a shortcut.

    Where the number of channels changes, the shortcut is a 1x1 convolution of the activated input.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        stride: of the first convolution; the output is `stride` times smaller.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.convShortcut = (
            None
            if channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, h, w) to (n, channels_out, h / stride, w / stride)."""
        activated = self.relu1(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(activated)
        residual = self.conv2(self.relu2(self.bn2(self.conv1(activated))))
        return cast(Tensor, shortcut + residual)


class WideResNet(nn.Module):
    """WRN-d-k, depth d = 6n + 4 and widening factor k, for images of 8x8 pixels and more.

    The stages work at full, half and quarter resolution. Parameters are named as in the CRD
    benchmark (RepDistiller, mdistiller), so that teachers published there can be loaded. The maps
    before the ReLU that follows stages 1 to 3 are the outputs of `block2.layer.0.bn1`,
    `block3.layer.0.bn1` and `bn1`.

    Args:
        depth: d, 6n + 4.
        widening: k, at least 1; the stages have 16k, 32k and 64k channels.
        channels: of the image.
        classes: number of classes.

    Raises:
        ValueError: the depth is not 6n + 4 with n of at least 1, or the widening is below 1.

    References:
        S. Zagoruyko, N. Komodakis. "Wide Residual Networks". BMVC 2016. Without the paper's
        optional dropout.
    """

    def __init__(self, depth: int, widening: int, channels: int, classes: int) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if blocks < 1 or rest or widening < 1:
            raise ValueError(
                "expected a depth of 6n + 4 (10, 16, 22, ...) and a widening of at least 1, "
                f"got {depth} and {widening}"
            )
        widths = (16 * widening, 32 * widening, 64 * widening)
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.block1 = _stage(16, widths[0], blocks, stride=1)
        self.block2 = _stage(widths[0], widths[1], blocks, stride=2)
        self.block3 = _stage(widths[1], widths[2], blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(widths[2])
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[2], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of normalised images (n, channels, height, width)."""
        x = self.block3(self.block2(self.block1(self.conv1(images))))
        return cast(Tensor, self.fc(self.flatten(self.avgpool(self.relu(self.bn1(x))))))


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int) -> nn.Sequential:
    first = PreActivationBlock(channels_in, channels_out, stride)
    rest = (PreActivationBlock(channels_out, channels_out, 1) for _ in range(blocks - 1))
    return nn.Sequential(OrderedDict(layer=nn.Sequential(first, *rest)))
