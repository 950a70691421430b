"""Writes a student's folder: all of it verified, or none of it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autokd.budget import Cost
from autokd.card import model_card
from autokd.data import ImageSet
from autokd.errors import UnknownNameError, VerificationError
from autokd.export.formats import FORMATS, verify
from autokd.space import Architecture
from autokd.task import Task

DESCRIPTION = "student.json"
CARD = "README.md"


@dataclass(frozen=True)
class StudentDescription:
    """What is known of a student, besides its weights.

    Attributes:
        study: name of the study it comes from.
        trial: number of the search trial that found it.
        architecture: what builds it.
        distillation: searched distillation parameters it was trained with.
        task: its input and output.
        mean: per channel, of its own normalisation.
        std: per channel.
        cost: measured figures.
        metrics: accuracies and the like, as the record has them.
        split: `test` or `validation`: the split that the exported files are scored on.
        recorded_accuracy: of this very student on that split, as the record has it.
        teacher: the teacher's figures.
        spec: the study's spec as JSON data.
    """

    study: str
    trial: int
    architecture: Architecture
    distillation: Mapping[str, Any]
    task: Task
    mean: tuple[float, ...]
    std: tuple[float, ...]
    cost: Cost
    metrics: Mapping[str, float]
    split: str
    recorded_accuracy: float
    teacher: Mapping[str, float]
    spec: Mapping[str, Any]


def write_student(
    student: nn.Module,
    description: StudentDescription,
    folder: Path,
    *,
    formats: Sequence[str],
    images: ImageSet,
) -> dict[str, Any]:
    """Writes and verifies a student; `folder` gets the files only when all of them are right.

    Args:
        student: takes pixels in [0, 1]; is moved to the CPU and put into eval mode.
        description: goes into `student.json` and the model card.
        folder: made if missing; an older student in it is replaced, other files stay.
        formats: names in `FORMATS`; the weights (`safetensors`) are always written.
        images: the split to score on.

    Returns:
        What `student.json` holds.

    Raises:
        UnknownNameError: a format that is none.
        VerificationError: a file computes something else, or scores other than recorded.
    """
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    student = student.cpu().eval()
    # Two samples: an exporter that sees a batch of one may take it for a constant.
    example = torch.zeros(2, *description.task.input_shape)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as workplace:
            partial = Path(workplace)
            files = [
                _write_one(name, student, example, partial, description, images)
                for name in dict.fromkeys([*formats, "safetensors"])
            ]
            written = _describe(description, files)
            text = json.dumps(written, indent=2) + "\n"
            (partial / DESCRIPTION).write_text(text, encoding="utf-8")
            (partial / CARD).write_text(model_card(written), encoding="utf-8")
            _replace(folder, partial)
    finally:
        if made and not any(folder.iterdir()):
            folder.rmdir()
    return written


def _replace(folder: Path, partial: Path) -> None:
    """Moves the new files into the folder; those that are of an older student only go."""
    new = {path.name for path in partial.iterdir()}
    for name in new:
        (partial / name).replace(folder / name)
    for name in {kind.file for kind in FORMATS.values()} - new:
        (folder / name).unlink(missing_ok=True)


def _write_one(
    name: str,
    student: nn.Module,
    example: torch.Tensor,
    folder: Path,
    description: StudentDescription,
    images: ImageSet,
) -> dict[str, Any]:
    kind = FORMATS[name]
    path = folder / kind.file
    content = kind.dump(student, example)
    path.write_bytes(content)
    figures: dict[str, float] = {}
    if kind.open is not None:
        figures = verify(kind.file, kind.open(path), student, images)
        _check_score(kind.file, figures["accuracy"], description, len(images))
    return {
        "name": kind.file,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "verified": (
            f"{description.split} accuracy {100 * figures['accuracy']:.2f} %" if figures else None
        ),
        **figures,
    }


def _check_score(file: str, accuracy: float, description: StudentDescription, images: int) -> None:
    # One image in a thousand (and always one image) may be a tie that another machine or device
    # breaks the other way.
    borne = max(1, images // 1000) / images
    if abs(accuracy - description.recorded_accuracy) > borne + 1e-9:
        raise VerificationError(
            f"{file}: expected the recorded {description.split} accuracy "
            f"{description.recorded_accuracy:.4f}, got {accuracy:.4f}",
            hint="has the data set changed since the search?",
        )


def _describe(description: StudentDescription, files: list[dict[str, Any]]) -> dict[str, Any]:
    packages = ("autokd", "torch", "onnx", "onnxruntime", "safetensors")
    return {
        "format": 1,
        "study": description.study,
        "trial": description.trial,
        "architecture": description.architecture.to_json(),
        "distillation": dict(description.distillation),
        "task": {
            "input_shape": list(description.task.input_shape),
            "classes": description.task.classes,
            "metric": description.task.metric,
        },
        "normalisation": {"mean": list(description.mean), "std": list(description.std)},
        "cost": description.cost.figures(),
        "metrics": dict(description.metrics),
        "scored_on": description.split,
        "recorded_accuracy": description.recorded_accuracy,
        "teacher": dict(description.teacher),
        "spec": dict(description.spec),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "files": files,
    }
