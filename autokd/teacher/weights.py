"""Weights of a network to and from safetensors files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from autokd.errors import TeacherError
from autokd.files import write_atomically

_SHOWN = 5
"""Mismatches that an error message lists."""


def save_weights(network: nn.Module, path: Path) -> str:
    """Writes parameters and buffers to a safetensors file, in one step.

    Returns:
        The SHA-256 of the file, in hexadecimal.

    Raises:
        StorageFullError: the disk is full.
    """
    # Cloned, because safetensors refuses tensors that share memory or are not laid out in order.
    state = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    content = safetensors.torch.save(state)
    write_atomically(path, [content])
    return hashlib.sha256(content).hexdigest()


def load_weights(network: nn.Module, path: Path) -> None:
    """Fills `network` with the weights in a safetensors file; all of them or, on error, none.

    Raises:
        TeacherError: the file is missing or damaged, or does not fit the network.
    """
    network.load_state_dict(read_weights(path, network), strict=False)


def read_weights(path: Path, network: nn.Module | None = None) -> dict[str, Tensor]:
    """The weights in a safetensors file, by name; those of `network`, which may be on `meta`.

    Raises:
        TeacherError: the file is missing or damaged, or does not fit the network if there is one.
    """
    state = _read(path)
    mismatches = _mismatches(network.state_dict(), state) if network is not None else []
    if mismatches:
        more = len(mismatches) - _SHOWN
        lines = [f"  {line}" for line in mismatches[:_SHOWN]]
        lines += [f"  ... and {more} more"] if more > 0 else []
        raise TeacherError(
            "\n".join([f"the weights in {path} do not fit the teacher's network:", *lines]),
            hint="teacher.model must name the very network that the file was saved from, with the "
            "same image channels and number of classes",
        )
    wrong = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if wrong:
        raise TeacherError(
            f"the weights in {path} hold NaN or infinity, first in {wrong[0]!r}",
            hint="the training that made them diverged; use another file",
        )
    return state


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256, in hexadecimal, over names, types, shapes and values of tensors, in any order."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise TeacherError(
            f"the teacher's weights {path} are not a file",
            hint="check teacher.weights, or leave it out to train the teacher",
        )
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise TeacherError(
            f"the teacher's weights {path} are no safetensors file or are damaged: {error}",
            hint="convert a PyTorch checkpoint with safetensors.torch.save_file("
            "torch.load(path, weights_only=True), ...)",
        ) from error


def _mismatches(wanted: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> list[str]:
    """What does not fit, one line each: missing, then of another shape, then not wanted."""
    # Files of old tools lack the batch counters, which a frozen network never reads.
    missing = [
        f"{name}: missing"
        for name in wanted
        if name not in got and not name.endswith(".num_batches_tracked")
    ]
    shapes = [
        f"{name}: expected shape {tuple(wanted[name].shape)}, got {tuple(value.shape)}"
        for name, value in got.items()
        if name in wanted and value.shape != wanted[name].shape
    ]
    unknown = [f"{name}: not in the network" for name in got if name not in wanted]
    return missing + shapes + unknown
