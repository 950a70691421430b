"""Data sets that are NumPy arrays: given in Python (`from_arrays`) or in an archive (`npz`)."""

from __future__ import annotations

import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from autokd.data.checks import check_test
from autokd.data.data import Data, DataOptions, Source, build_data
from autokd.data.readers import ArrayReader
from autokd.errors import DataError
from autokd.spec.models import AugmentationSpec

if TYPE_CHECKING:
    from typing import Unpack

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_LAYOUT = "x_train, y_train, x_test, y_test: images uint8 (n, height, width[, channels])"
_MOST_CHANNELS = 4

_CORRUPT = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,  # an encrypted archive
    NotImplementedError,  # a compression that zipfile does not know
    zipfile.BadZipFile,
    zlib.error,
)


def from_arrays(
    x_train: Any,
    y_train: Any,
    x_test: Any,
    y_test: Any,
    *,
    name: str = "arrays",
    **options: Unpack[DataOptions],
) -> Data:
    """Your own images as the data of a study.

    Args:
        x_train: (n, height, width) grey or (n, height, width, channels) images, uint8 0..255;
            anything that NumPy takes as an array, here and below.
        y_train: (n,) whole numbers 0..classes-1.
        x_test: (m, height, width[, channels]) images of the same shape.
        y_test: (m,) whole numbers of the same classes.
        name: what reports call the set.
        **options: see `DataOptions`; no augmentation is customary.

    Raises:
        DataError: an array has the wrong type, shape, length or labels.
    """
    test = _source(name, np.asarray(x_test), np.asarray(y_test), "test")
    train = _source(name, np.asarray(x_train), np.asarray(y_train), "train")
    data = build_data(name, train, partial(_given, test), AugmentationSpec(), **options)
    check_test(name, data.task, test.reader.shape, test.labels)
    return data


def npz(path: Path | str, **options: Unpack[DataOptions]) -> Data:
    """Images of a NumPy archive with `x_train, y_train, x_test, y_test`, as for `from_arrays`.

    Test images are not read before `Data.test` is called; their labels, types and shapes are
    checked at once. Pickled objects in the archive are refused.

    Args:
        path: file written by `numpy.savez` or `numpy.savez_compressed`.
        **options: see `DataOptions`; no augmentation is customary.

    Raises:
        DataError: the file is missing or corrupt, lacks an array, or an array has the wrong type,
            shape, length or labels.
    """
    path = Path(path)
    _check_headers(path)
    train = _read(path, "train")
    data = build_data(path.stem, train, partial(_read, path, "test"), AugmentationSpec(), **options)
    (labels,) = _arrays(path, "y_test")
    check_test(str(path), data.task, data.task.input_shape, labels)
    return data


def _given(source: Source) -> Source:
    return source


def _source(name: str, images: np.ndarray, labels: np.ndarray, split: str) -> Source:
    _check_type(name, f"x_{split}", images.dtype, images.shape)
    _check_type(name, f"y_{split}", labels.dtype, labels.shape)
    _check_length(name, split, images.shape, labels.shape)
    if images.ndim == 3:
        images = images[..., None]
    # A copy only where torch needs one: channels last, not contiguous or read-only.
    pixels = np.require(np.moveaxis(images, 3, 1), requirements=("C", "W"))
    return Source(ArrayReader(torch.from_numpy(pixels)), labels)


def _check_type(name: str, key: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if key.startswith("y"):
        if dtype.kind not in "iu" or len(shape) != 1:
            raise DataError(
                f"{name}: expected {key} to be whole numbers (n,), got {dtype} {shape}",
                hint="give class numbers, not one-hot rows, and one axis",
            )
        return
    if dtype != np.uint8:
        raise DataError(
            f"{name}: expected {key} to be uint8 from 0 to 255, got {dtype}",
            hint="pixels in [0, 1] become uint8 by (255 * x).round().astype('uint8')",
        )
    channels = shape[3] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or 0 in shape[1:] or channels > _MOST_CHANNELS:
        raise DataError(
            f"{name}: expected {key} to be (n, height, width) or (n, height, width, channels) "
            f"with at most {_MOST_CHANNELS} channels, got {shape}",
            hint="channels come last: numpy.moveaxis(x, 1, 3) brings them there",
        )


def _check_length(name: str, split: str, images: tuple[int, ...], labels: tuple[int, ...]) -> None:
    if images[0] != labels[0]:
        raise DataError(
            f"{name}: expected as many labels as images, got {images[0]} in x_{split} and "
            f"{labels[0]} in y_{split}"
        )


def _check_headers(path: Path) -> None:
    """Finds what is wrong with the archive before any of its images is read."""
    if not path.is_file():
        raise DataError(f"{path}: expected a NumPy archive, but there is no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            present = {member.removesuffix(".npy") for member in archive.namelist()}
            missing = [key for key in _KEYS if key not in present]
            if missing:
                raise DataError(
                    f"{path}: expected the arrays {', '.join(_KEYS)}, got {sorted(present)}",
                    hint=f"save it with numpy.savez and {_LAYOUT}",
                )
            headers = {key: _header(archive, key) for key in _KEYS}
    except DataError:
        raise
    except _CORRUPT as error:
        raise _corrupt(path, error) from error
    for key, (shape, dtype) in headers.items():
        _check_type(str(path), key, dtype, shape)
    for split in ("train", "test"):
        _check_length(str(path), split, headers[f"x_{split}"][0], headers[f"y_{split}"][0])
    if headers["x_train"][0][1:] != headers["x_test"][0][1:]:
        raise DataError(
            f"{path}: expected test images of the shape of the training images, "
            f"{headers['x_train'][0][1:]}, got {headers['x_test'][0][1:]}"
        )


def _header(archive: zipfile.ZipFile, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array of the archive, without reading its elements."""
    with archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype


def _read(path: Path, split: str) -> Source:
    images, labels = _arrays(path, f"x_{split}", f"y_{split}")
    return _source(str(path), images, labels, split)


def _arrays(path: Path, *keys: str) -> list[np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[key] for key in keys]
    except _CORRUPT as error:
        raise _corrupt(path, error) from error


def _corrupt(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: expected a NumPy archive, but it cannot be read ({error})",
        hint=f"save it again with numpy.savez and {_LAYOUT}",
    )
