"""Checkpoints: the state of one student's training in a file."""

from __future__ import annotations

import io
import pickle  # noqa: TID251 (for the name of an error of torch.load)
from pathlib import Path
from typing import Any

import torch

from autokd.errors import AutokdError
from autokd.files import write_atomically
from autokd.space import Architecture


class CheckpointError(AutokdError):
    """A checkpoint is missing, damaged, or of another architecture."""


def save_checkpoint(path: Path, architecture: Architecture, training: dict[str, Any]) -> None:
    """Writes a checkpoint that is either there in full or not at all, even after a power cut.

    Args:
        path: the file to write or replace; its folder is made if it is missing.
        architecture: the student.
        training: what `Training.state_dict` gave.

    Raises:
        StorageFullError: the disk is full; the previous file, if any, is untouched.
    """
    buffer = io.BytesIO()
    # Not straight into the file: torch hides the reason when a write fails.
    torch.save({"architecture": architecture.key, "training": training}, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [buffer.getbuffer()])


def load_checkpoint(path: Path, architecture: Architecture) -> dict[str, Any]:
    """The state for `Training.load_state_dict`, on the CPU; runs no code from the file.

    Raises:
        CheckpointError: no such file, not a whole checkpoint, or of another architecture.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"expected a checkpoint, got {path}: {error}") from error
    if not isinstance(content, dict) or content.keys() != {"architecture", "training"}:
        raise CheckpointError(f"expected a checkpoint of a student, got {path}")
    key = content["architecture"]
    if key != architecture.key:
        raise CheckpointError(f"expected a checkpoint of {architecture.key}, got {path} of {key}")
    state: dict[str, Any] = content["training"]
    return state
