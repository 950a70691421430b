"""What people call an operation."""

from __future__ import annotations

import re
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from autokd.layers import GatedSum

_MODULES: dict[type[nn.Module], str] = {
    GatedSum: "merge",
    nn.MultiheadAttention: "attention",
}

_NAMES = {
    "adaptive avg pool": "average pool",
    "adaptive max pool": "max pool",
    "addmm": "linear",
    "avg pool": "average pool",
    "baddbmm": "matrix product",
    "bmm": "matrix product",
    "cat": "concatenate",
    "clone": "copy",
    "convolution": "conv",
    "mm": "matrix product",
    "mul": "multiply",
}


def of_module(module: nn.Module) -> str:
    """`conv 3x3`, `batch norm`, `average pool`; a class that nobody knows gives its name."""
    if isinstance(module, _ConvNd):
        return _of_convolution(module)
    for kind, words in _MODULES.items():
        if isinstance(module, kind):
            return words
    return _plain(re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", type(module).__name__).lower())


def _of_convolution(module: _ConvNd) -> str:
    kind = "conv " + "x".join(map(str, module.kernel_size))
    if isinstance(module, _ConvTransposeNd):
        return f"transposed {kind}"
    if module.groups == 1:
        return kind
    return f"{'depthwise' if module.groups == module.in_channels else 'grouped'} {kind}"


def of_operator(operator: Any) -> str:
    """Likewise for an operator of `aten` that a network calls without a module."""
    return _plain(operator.overloadpacket.__name__.strip("_").replace("_", " "))


def _plain(words: str) -> str:
    words = re.sub(r"\dd( with indices)?$", "", words)
    return _NAMES.get(words, words)
