"""Readers: images of equal size by row number, from an array or from image files."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from autokd.errors import DataError

_UNREADABLE = (
    OSError,
    SyntaxError,  # what PIL raises for a broken PNG
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)


class ImageReader(Protocol):
    """Images of equal shape, read on demand."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Images (b, channels, height, width) uint8 on the CPU, for row numbers (b,) int64.

        Raises:
            DataError: an image cannot be read; names it.
        """
        ...

    def contents(self, rows: Tensor) -> Iterator[bytes]:
        """What tells these images from others: their pixels, or the names and sizes of files."""
        ...


class ArrayReader:
    """Images of an array in memory, scaled if another size is asked for.

    Args:
        images: (n, channels, height, width) uint8 on the CPU.
        image_size: side in pixels of the square that images are scaled to (bilinear,
            antialiased); None leaves them as they are.
    """

    def __init__(self, images: Tensor, image_size: int | None = None) -> None:
        self.images = images
        channels, height, width = images.shape[1:]
        size = (image_size, image_size) if image_size else (height, width)
        self._size = size if size != (height, width) else None
        self._shape = (channels, *size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `ImageReader.shape`."""
        return self._shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """See `ImageReader.__getitem__`."""
        images = self.images.index_select(0, rows)
        if self._size is None:
            return images
        return F.interpolate(images, self._size, mode="bilinear", antialias=True)

    def contents(self, rows: Tensor) -> Iterator[bytes]:
        """See `ImageReader.contents`."""
        for chunk in torch.split(rows, 4096):
            yield self.images.index_select(0, chunk).numpy().tobytes()


class FileReader:
    """Image files decoded to RGB; the middle square, scaled to `image_size` (bilinear).

    That equals scaling the short side to `image_size` and cropping the centre.

    Args:
        root: folder that the paths are relative to.
        paths: one for each image.
        image_size: side in pixels.
    """

    def __init__(self, root: Path, paths: Sequence[str], image_size: int) -> None:
        self.root = root
        self.paths = tuple(paths)
        self.image_size = image_size

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `ImageReader.shape`."""
        return 3, self.image_size, self.image_size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """See `ImageReader.__getitem__`."""
        images = torch.empty((len(rows), *self.shape), dtype=torch.uint8)
        for image, row in zip(images, rows.tolist(), strict=True):
            image.copy_(self._decode(self.root / self.paths[row]))
        return images

    def contents(self, rows: Tensor) -> Iterator[bytes]:
        """See `ImageReader.contents`."""
        for row in rows.tolist():
            path = self.paths[row]
            yield f"{path}\0{(self.root / path).stat().st_size}\0".encode()

    def _decode(self, path: Path) -> Tensor:
        try:
            with Image.open(path) as image:
                if image.mode.startswith(("I", "F")):
                    # PIL would clip these to 255 without a word.
                    raise DataError(
                        f"{path}: expected 8 bits per channel, got an image of mode {image.mode!r}",
                        hint="convert the images to 8 bits first",
                    )
                square = ImageOps.fit(
                    image.convert("RGB"), (self.image_size,) * 2, Image.Resampling.BILINEAR
                )
        except DataError:
            raise
        except _UNREADABLE as error:
            raise DataError(
                f"{path}: expected an image file, but it cannot be read ({error})",
                hint="remove the file or replace it by a sound copy",
            ) from error
        return torch.from_numpy(np.array(square)).permute(2, 0, 1)
