"""File formats of a student, and the check that each computes what the student computes."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from autokd.data import ImageSet
from autokd.errors import VerificationError

_TOLERANCE = 1e-3
"""Largest difference of a logit that is borne, as a share of the largest logit (at least 1).

Float32 kernels that add in another order differ by about 1e-6 per layer; a wrong graph by far more.
"""

_BATCH_SIZES = (1, 7)
"""An exported batch dimension that is really fixed fails at one of these."""

_SCORING_BATCH = 256

Predict = Callable[[Tensor], Tensor]
"""Logits (n, classes) of pixels (n, channels, height, width) in [0, 1]."""


@dataclass(frozen=True)
class Format:
    """One file format.

    Attributes:
        file: name of the file in the student's folder.
        dump: a student (on the CPU, in eval mode), for images of the example's shape, as bytes.
        open: the file as a function, to compare with the student; None for plain weights.
    """

    file: str
    dump: Callable[[nn.Module, Tensor], bytes]
    open: Callable[[Path], Predict] | None


def _dump_safetensors(student: nn.Module, example: Tensor) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in student.state_dict().items()})


def _dump_onnx(student: nn.Module, example: Tensor) -> bytes:
    with _quiet_exporter():
        program = torch.onnx.export(
            student,
            (example,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # it is None for the old exporter only
    return bytes(program.model_proto.SerializeToString())


def _open_onnx(path: Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def predict(images: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)

    return predict


def _dump_pt2(student: nn.Module, example: Tensor) -> bytes:
    buffer = io.BytesIO()
    with _quiet_exporter():
        shapes = ({0: torch.export.Dim("batch", min=1)},)
        torch.export.save(torch.export.export(student, (example,), dynamic_shapes=shapes), buffer)
    return buffer.getvalue()


def _open_pt2(path: Path) -> Predict:
    with _quiet_exporter():
        module = torch.export.load(path).module()
    return lambda images: module(images)


FORMATS = {
    "onnx": Format("student.onnx", _dump_onnx, _open_onnx),
    "safetensors": Format("student.safetensors", _dump_safetensors, None),
    "pt2": Format("student.pt2", _dump_pt2, _open_pt2),
}
"""What `--format` may name."""


@torch.no_grad()
def verify(name: str, predict: Predict, student: nn.Module, images: ImageSet) -> dict[str, float]:
    """Compares an opened file with its student, on batches of 1 and 7 and over a whole split.

    Args:
        name: what to call the file in an error.
        predict: the opened file.
        student: on the CPU, in eval mode.
        images: the split to score.

    Returns:
        `accuracy` (share in [0, 1] that the file gets right), `largest_difference` (of a logit).

    Raises:
        VerificationError: a logit differs by more than the tolerance.
    """
    largest = 0.0
    for size in _BATCH_SIZES:
        pixels = _pixels(images, torch.arange(min(size, len(images))))
        largest = max(largest, _compare(name, predict(pixels), student(pixels), size))
    right = 0
    for start in range(0, len(images), _SCORING_BATCH):
        indices = torch.arange(start, min(start + _SCORING_BATCH, len(images)))
        pixels = _pixels(images, indices)
        got = predict(pixels)
        largest = max(largest, _compare(name, got, student(pixels), len(indices)))
        right += int((got.argmax(1) == images.labels[indices].cpu()).sum())
    return {"accuracy": right / len(images), "largest_difference": largest}


def _pixels(images: ImageSet, indices: Tensor) -> Tensor:
    return images.fetch(indices.to(images.labels.device)).cpu().float() / 255


def _compare(name: str, got: Tensor, expected: Tensor, size: int) -> float:
    if got.shape != expected.shape:
        raise VerificationError(
            f"{name}: expected logits of shape {tuple(expected.shape)} for a batch of {size}, "
            f"got {tuple(got.shape)}"
        )
    scale = max(1.0, float(expected.abs().max()))
    difference = float((got - expected).abs().max())
    if not difference <= _TOLERANCE * scale:
        raise VerificationError(
            f"{name}: expected the student's logits for a batch of {size}, got a difference of "
            f"{difference:.3g} (at most {_TOLERANCE * scale:.3g} is borne)",
            hint="the file was not kept; this operation is not exported faithfully",
        )
    return difference


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Torch's exporters log and warn about their own internals; nothing of it is for users."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
