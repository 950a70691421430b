"""Teachers from torchvision, by their names there.

A module of its own because importing torchvision takes seconds, which a worker with another
teacher need not spend.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torchvision import models  # type: ignore[import-untyped]  # it has no types

from autokd.errors import TeacherError, UnknownNameError
from autokd.task import Task

CHANNELS = 3
"""Input channels of every network of torchvision."""


def names() -> list[str]:
    """Classification networks of the installed torchvision."""
    return list(models.list_models(module=models))


def build(name: str, task: Task) -> nn.Module:
    """The untrained network `name` for a task.

    Raises:
        UnknownNameError: torchvision has no such classification network.
        TeacherError: the network cannot take the task's images (most are made for 224x224 pixels).
    """
    if name not in names():
        raise UnknownNameError("torchvision network", name, names())
    channels, height, width = task.input_shape
    if channels not in (1, CHANNELS):
        raise TeacherError(
            f"torchvision/{name} takes images of 1 (grey) or {CHANNELS} channels, "
            f"got {channels} channels",
            hint="use a teacher for any number of channels, such as resnet56 or wrn40_2",
        )
    try:
        network = _network(name, height, width, task.classes)
        shape = _logits_shape(network, height, width)
    # What torchvision's networks raise for images that are too small, not square or not divisible.
    except (RuntimeError, ValueError, AssertionError) as error:
        raise TeacherError(
            f"torchvision/{name} cannot take images of {height}x{width} pixels: {error}",
            hint="set data.image_size to a size the network was made for (224 fits nearly all), "
            "or use a teacher for small images, such as resnet56 or wrn40_2",
        ) from error
    if shape != (2, task.classes):
        raise TeacherError(
            f"torchvision/{name}: expected logits of shape (2, {task.classes}), got {shape}"
        )
    return network


def _network(name: str, height: int, width: int, classes: int) -> nn.Module:
    """Built with the arguments without which it is tied to 224x224 or gives more than logits."""
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": height}
    elif name.startswith("maxvit_"):
        options = {"input_size": (height, width)}
    device = torch.get_default_device()
    # RegNets compute their widths with tensors, which the meta device cannot.
    with torch.device("cpu" if name.startswith("regnet_") else device):
        network: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    return network.to(device)


def _logits_shape(network: nn.Module, height: int, width: int) -> tuple[int, ...]:
    """Shape of the logits of two images, found on the meta device: no memory, no arithmetic."""
    tensors = (*network.named_parameters(), *network.named_buffers())
    state = {name: value.to("meta") for name, value in tensors}
    images = torch.empty(2, CHANNELS, height, width, device="meta")
    training = network.training
    with torch.no_grad():
        logits = torch.func.functional_call(network.eval(), state, (images,))
    network.train(training)
    return tuple(logits.shape)
