"""The frozen network that guides students."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from autokd.distillation import ModelOutput
from autokd.errors import TeacherError, did_you_mean
from autokd.layers import Normalised
from autokd.teacher.weights import fingerprint


class Teacher(nn.Module):
    """A frozen network: never trains, never carries a gradient, and can show its features.

    Args:
        network: takes pixels in [0, 1] (a `Normalised`) and gives logits; its parameters are
            frozen in place.
        features: names of modules of the network (of the one inside, for a `Normalised`) whose
            outputs `forward` gives beside the logits. A module that runs several times in one
            forward pass gives its last output.

    Raises:
        TeacherError: the network has no module of that name.
    """

    def __init__(self, network: nn.Module, features: Sequence[str] = ()) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.features = tuple(features)
        self._tapped()
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever is asked: a teacher's statistics are fixed."""
        return super().train(False)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over names and values of all parameters and buffers, normalisation included."""
        return fingerprint(self.network.state_dict())

    # no_grad rather than inference_mode, whose tensors a student's loss could not save for its
    # backward pass.
    @torch.no_grad()
    def forward(self, images: Tensor) -> ModelOutput:
        """Logits and features of `images` (n, channels, height, width), float in [0, 1].

        Raises:
            TeacherError: the network gives no logits, or a feature is not a tensor or never made.
        """
        with _tap(self._tapped()) as features:
            logits = self.network(images)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise TeacherError(f"expected the teacher to give logits (n, classes), got {got}")
        missing = [name for name in self.features if name not in features]
        if missing:
            raise TeacherError(
                f"the teacher's forward pass never runs {', '.join(map(repr, missing))}",
                hint="name modules that are called themselves, not containers of them",
            )
        return ModelOutput(logits, features)

    def _tapped(self) -> dict[str, nn.Module]:
        """The modules of the wanted features. Raises TeacherError for a name that is none."""
        inner = self.network.network if isinstance(self.network, Normalised) else self.network
        modules = dict(inner.named_modules())
        for name in self.features:
            if not name or name not in modules:
                top = ", ".join(child for child, _ in inner.named_children())
                raise TeacherError(
                    f"features: the teacher has no module {name!r}; its outermost are {top}",
                    hint=did_you_mean(name, modules),
                )
        return {name: modules[name] for name in self.features}


@contextlib.contextmanager
def _tap(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Collects outputs of modules by name for as long as the context lasts."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            raise TeacherError(
                f"features: expected {name!r} to give a tensor, got {type(output).__name__}",
                hint="name a module inside it",
            )
        # A copy, because a later in-place operation (ReLU in torchvision's networks) would
        # overwrite what was seen here.
        outputs[name] = output.clone()

    hooks = [
        module.register_forward_hook(functools.partial(keep, name))
        for name, module in modules.items()
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
