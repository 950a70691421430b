"""The idx format of MNIST and the sets that follow it: a big-endian header, then bytes."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from autokd.errors import DataError

_IMAGES, _LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
_SPLITS = {False: "train", True: "t10k"}
_AGAIN = "fetch the file again"


def has_idx_files(folder: Path) -> bool:
    """Whether the folder itself holds training images in the idx format, packed or not."""
    return _find(folder, f"train-{_IMAGES}") is not None


def check_idx_files(folder: Path) -> None:
    """Raises DataError if one of the four files is missing."""
    names = [f"{split}-{kind}" for split in _SPLITS.values() for kind in (_IMAGES, _LABELS)]
    missing = [name for name in names if _find(folder, name) is None]
    if missing:
        raise DataError(
            f"{folder}: expected four idx files, packed (.gz) or not, but it lacks "
            f"{', '.join(missing)}",
            hint="put all four files of the data set into the folder",
        )


def read_idx_split(folder: Path, *, test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, height, width) uint8 and labels (n,) uint8.

    Raises:
        DataError: a file is missing or corrupt, or there are not as many labels as images.
    """
    images = _read(folder, f"{_SPLITS[test]}-{_IMAGES}", axes=3)
    labels = _read(folder, f"{_SPLITS[test]}-{_LABELS}", axes=1)
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: expected as many labels as images, got {len(labels)} labels and "
            f"{len(images)} images of {_SPLITS[test]}"
        )
    return images, labels


def _read(folder: Path, name: str, axes: int) -> np.ndarray:
    path = _find(folder, name)
    if path is None:
        raise DataError(f"{folder}: expected the file {name} or {name}.gz, got neither")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected an idx file, but it cannot be read ({error})", hint=_AGAIN
        ) from error
    start = 4 + 4 * axes
    # Two zeros, 8 for unsigned bytes, the number of axes; then the length of each axis.
    if content[:4] != bytes((0, 0, 8, axes)) or len(content) < start:
        raise DataError(
            f"{path}: expected an idx file of bytes with {axes} axes, "
            f"got one that begins with {content[:4].hex(' ') or 'nothing'}",
            hint=_AGAIN,
        )
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{path}: expected {math.prod(shape)} bytes for an array {shape}, "
            f"got {len(content) - start}",
            hint=_AGAIN,
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
