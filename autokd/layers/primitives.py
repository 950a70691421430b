"""Primitive operations that convolutional spaces share."""

from __future__ import annotations

from torch import nn


class Convolution(nn.Conv2d):
    """A square convolution padded to keep the size, initialised for ReLU networks.

    On the `meta` device weights have no values, and none are drawn.

    References:
        K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015 (fan-out form).
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, stride: int = 1, bias: bool = False
    ) -> None:
        super().__init__(in_channels, channels, kernel, stride, padding=kernel // 2, bias=bias)

    def reset_parameters(self) -> None:
        """Draw new weights; biases are zero."""
        if self.weight.is_meta:
            return
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def average_pooling(before: tuple[int, int], after: tuple[int, int]) -> nn.Module:
    """Average pooling from one (height, width) to another that is not larger.

    Where the sizes divide, this is the plain kind, which gives the same values as the adaptive one
    and which all runtimes know.
    """
    (height, width), (rows, columns) = before, after
    if height % rows or width % columns:
        return nn.AdaptiveAvgPool2d(after)
    return nn.AvgPool2d((height // rows, width // columns))
