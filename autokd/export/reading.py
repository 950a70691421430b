"""Reads a student's folder back, without the database that it came from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from autokd.errors import NotFoundError, VerificationError
from autokd.export.formats import FORMATS
from autokd.export.writing import DESCRIPTION
from autokd.layers import Normalised
from autokd.space import Architecture, SearchSpace
from autokd.task import Task


def read_description(folder: Path) -> dict[str, Any]:
    """The contents of `student.json`.

    Raises:
        NotFoundError: the folder holds no student.
        VerificationError: `student.json` is damaged or of a format this version does not know.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise NotFoundError(
            f"expected a student in {str(folder)!r}, got no {DESCRIPTION} there",
            hint="write one with `autokd export STUDY --best -o FOLDER`",
        )
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise VerificationError(f"{path} is damaged: {error}", hint="export it again") from error
    if description.get("format") != 1:
        raise VerificationError(
            f"{path}: expected format 1, got {description.get('format')!r}",
            hint="it was written by another version of autokd; export it again",
        )
    return description


def read_student(folder: Path, space: SearchSpace) -> Normalised:
    """The student in `folder`, in eval mode on the CPU; takes pixels in [0, 1], gives logits.

    Args:
        folder: what `write_student` wrote.
        space: the search space that `student.json` names.

    Raises:
        NotFoundError: the folder holds no student.
        VerificationError: a file is damaged, or the weights do not fit the architecture.
    """
    description = read_description(folder)
    path = folder / FORMATS["safetensors"].file
    _check_sum(path, description)
    task = Task(
        tuple(description["task"]["input_shape"]),
        description["task"]["classes"],
        description["task"]["metric"],
    )
    # The weights are read next: what the initialisation draws must not touch the caller's stream.
    with torch.random.fork_rng(devices=[]):
        network = space.build(Architecture.from_json(description["architecture"]), task)
    student = Normalised(network, **description["normalisation"])
    try:
        student.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise VerificationError(
            f"{path} does not hold the weights of this architecture: {error}",
            hint="was it written by another version of the search space? export it again",
        ) from error
    return student.eval()


def _check_sum(path: Path, description: dict[str, Any]) -> None:
    expected = {file["name"]: file["sha256"] for file in description["files"]}.get(path.name)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise VerificationError(
            f"expected {path} with the checksum that {DESCRIPTION} gives, got "
            + ("another one" if path.is_file() else "no such file"),
            hint="the folder is incomplete or was changed; export it again",
        )
