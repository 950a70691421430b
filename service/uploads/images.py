"""Whether an upload is a NumPy archive of images that a study can learn from.

Everything is read once, in pieces, and thrown away: an archive that claims little and unpacks to
much, or is damaged somewhere, is found here and not by the study.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.uploads.errors import Limits, TooLargeError, UploadError

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_MEMBERS = tuple(f"{key}.npy" for key in _KEYS)
_MOST_CHANNELS = 4
_PIECE = 2**20
_HEADER_BYTES = 1024

# NumPy evaluates the header as a Python literal: only what it writes for a plain array gets there.
_LENGTH = rb"(?:0|[1-9][0-9]{0,11})"
_HEADER = re.compile(
    rb"\x93NUMPY(?:\x01\x00(?P<short>..)|\x02\x00(?P<long>....))"
    rb"(?P<text>\{'descr': *'[<>|=]?[biufcSUVO][0-9]{0,4}', *'fortran_order': *(?:True|False), *"
    rb"'shape': *\((?:|%b,|%b(?:, *%b)+,?)\),? *\} *\n)" % (_LENGTH, _LENGTH, _LENGTH),
    re.DOTALL,
)

_CORRUPT = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # an encrypted archive
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class ImagesSummary:
    """What is in an archive of images.

    Attributes:
        train: images to learn from.
        test: images to test with.
        shape: of an image: (height, width) or (height, width, channels).
        unpacked_bytes: of all arrays in memory.
    """

    train: int
    test: int
    shape: tuple[int, ...]
    unpacked_bytes: int


class _Sparing(io.FileIO):
    """A file that is never read at once in large pieces, whatever sizes the archive claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = _PIECE + 1 if size is None or size < 0 else min(size, _PIECE + 1)
        content = super().read(wanted) or b""
        if len(content) > _PIECE:
            raise UploadError(f"expected an archive of {len(_MEMBERS)} arrays, got a larger one")
        return content


def check_npz(path: Path, limits: Limits) -> ImagesSummary:
    """What is in a NumPy archive of `x_train, y_train, x_test, y_test`; reads it through.

    It takes what `autokd.data.npz` takes: images uint8 (n, height, width[, channels]), labels whole
    numbers (n,). Whether the labels number the classes without gaps is for the study to check.

    Raises:
        TooLargeError: the arrays take more memory than the limits allow.
        UploadError: it is no such archive, is damaged, or holds anything else.
    """
    with _Sparing(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise UploadError(
                "expected a NumPy archive, got a file of another format",
                hint="save it with numpy.savez_compressed",
            )
        try:
            with zipfile.ZipFile(file) as archive:
                return _check(archive, limits)
        except UploadError:
            raise
        except _CORRUPT as error:
            raise UploadError(
                "expected a NumPy archive, but it cannot be read: "
                f"{str(error) or type(error).__name__}",
                hint="it was cut off or damaged; save it again with numpy.savez_compressed",
            ) from error


def _check(archive: zipfile.ZipFile, limits: Limits) -> ImagesSummary:
    members = _members(archive)
    unpacked = sum(member.file_size for member in members.values())
    if unpacked > limits.unpacked_bytes:
        raise TooLargeError(
            f"expected arrays of at most {limits.unpacked_bytes} bytes, got {unpacked}"
        )
    shapes = {key: _shape(archive, key, member) for key, member in members.items()}
    for split in ("train", "test"):
        _check_length(split, shapes[f"x_{split}"][0], shapes[f"y_{split}"][0])
    train, test = shapes["x_train"], shapes["x_test"]
    if train[1:] != test[1:]:
        raise UploadError(
            f"expected test images of the shape of the training images, {train[1:]}, got {test[1:]}"
        )
    for key, member in members.items():
        _read_through(archive, key, member)
    return ImagesSummary(train[0], test[0], train[1:], unpacked)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found = archive.infolist()
    # The names as written: `filename` ends at a NUL.
    names = [member.orig_filename for member in found]
    if sorted(names) != sorted(_MEMBERS):
        got = ", ".join(ascii(name[:40]) for name in names[:8]) + (", …" if len(names) > 8 else "")
        raise UploadError(
            f"expected exactly {', '.join(_MEMBERS)} in the archive, got {got or 'nothing'}",
            hint="save it with numpy.savez_compressed(path, x_train=…, y_train=…, …)",
        )
    for member in found:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UploadError(
                f"{member.orig_filename}: expected it stored or deflated, got compression "
                f"{member.compress_type}",
                hint="save it with numpy.savez_compressed",
            )
    return {member.orig_filename.removesuffix(".npy"): member for member in found}


def _shape(archive: zipfile.ZipFile, key: str, member: zipfile.ZipInfo) -> tuple[int, ...]:
    """The shape of an array, whose type and size are as they must be."""
    with archive.open(member) as file:
        start = file.read(_HEADER_BYTES)
    match = _HEADER.match(start)
    if match is None or int.from_bytes(match["short"] or match["long"], "little") != len(
        match["text"]
    ):
        raise UploadError(
            f"{key}: expected the header of a plain array, as NumPy writes it, got {start[:80]!r}",
            hint="object and structured arrays are not taken",
        )
    header = io.BytesIO(match[0])
    if np.lib.format.read_magic(header) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(header, _HEADER_BYTES)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(header, _HEADER_BYTES)
    _check_type(key, dtype, shape)
    expected = len(match[0]) + math.prod(shape) * dtype.itemsize
    if member.file_size != expected:
        raise UploadError(
            f"{key}: expected {expected} bytes of {dtype} {shape}, got {member.file_size}"
        )
    return shape


def _check_type(key: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if key.startswith("y"):
        if dtype.kind not in "iu" or len(shape) != 1:
            raise UploadError(
                f"expected {key} to be whole numbers (n,), got {dtype} {shape}",
                hint="give class numbers, not one-hot rows, and one axis",
            )
        return
    if dtype != np.uint8:
        raise UploadError(
            f"expected {key} to be uint8 from 0 to 255, got {dtype}",
            hint="pixels in [0, 1] become uint8 by (255 * x).round().astype('uint8')",
        )
    channels = shape[3] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or 0 in shape[1:] or channels > _MOST_CHANNELS:
        raise UploadError(
            f"expected {key} to be (n, height, width) or (n, height, width, channels) with at "
            f"most {_MOST_CHANNELS} channels, got {shape}",
            hint="channels come last: numpy.moveaxis(x, 1, 3) brings them there",
        )


def _check_length(split: str, images: int, labels: int) -> None:
    if images != labels or images == 0:
        raise UploadError(
            f"expected one or more images and as many labels, got {images} in x_{split} and "
            f"{labels} in y_{split}"
        )


def _read_through(archive: zipfile.ZipFile, key: str, member: zipfile.ZipInfo) -> None:
    """Raises if the member does not unpack to what it declares, check sum included."""
    size = 0
    with archive.open(member) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
    if size != member.file_size:
        raise UploadError(f"{key}: expected {member.file_size} bytes, got {size}")
