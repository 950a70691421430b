"""Teach once: the teacher's logits for every view of every epoch, computed once per study."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from autokd.errors import StorageFullError, TeacherError
from autokd.files import write_atomically
from autokd.spec import AugmentationSpec
from autokd.teacher.teacher import Teacher

if TYPE_CHECKING:
    from autokd.data import Augmentation, ImageSet

_LOG = logging.getLogger(__name__)

_BATCH_SIZE = 256
"""Images per forward pass of the teacher; part of the key, since it may show in the last bit."""

_CHECKSUM_BYTES = 4


def outputs_key(
    teacher: str,
    data: str,
    augmentation: AugmentationSpec,
    seed: int,
    batch_size: int = _BATCH_SIZE,
) -> str:
    """The name, 32 hexadecimal digits, of the folder that may hold these outputs.

    Args:
        teacher: `Teacher.fingerprint`.
        data: `Data.fingerprint`.
        augmentation: how views are made.
        seed: of the `Augmentation`.
        batch_size: of the `TeacherOutputs`.
    """
    parts = [teacher, data, augmentation.model_dump(mode="json"), seed, batch_size]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class TeacherOutputs:
    """Logits of a frozen teacher on the augmented training images, epoch by epoch.

    The first process that needs an epoch computes it, in fixed batches, and writes it to
    `folder/epoch-00012.npy`; all others map that file into memory. Epochs beyond the memory limit,
    and all epochs once the disk is full, are computed by each process for itself, with equal
    results to the last bit. A damaged file is computed anew. Without augmentation every epoch shows
    the same views, and the first epoch's outputs are those of all.

    Each file is a NumPy array (n, classes) of little-endian float32, followed by its CRC-32, so
    that a file that was damaged on disk is not learned from.

    Args:
        teacher: the teacher on `device`, or a function that makes it, which is called only when an
            epoch must be computed.
        images: the training split, n images.
        augmentation: makes the views; a pure function of image and epoch.
        folder: of the files; named by `outputs_key`, so that it holds outputs of no other teacher,
            images or views.
        memory_limit: bytes that the files together may take, at least 0.
        device: where the tables are wanted; the newest stays there.
        classes: number of classes.
        batch_size: images per forward pass of the teacher.
    """

    def __init__(
        self,
        teacher: Teacher | Callable[[], Teacher],
        images: ImageSet,
        augmentation: Augmentation,
        folder: Path,
        memory_limit: float,
        device: torch.device,
        *,
        classes: int,
        batch_size: int = _BATCH_SIZE,
    ) -> None:
        self._teacher = teacher
        self._images = images
        self._augmentation = augmentation
        self._folder = folder
        self._device = torch.device(device)
        self._batch_size = batch_size
        self._shape = (len(images), classes)
        self._header = _npy_header(self._shape)
        self._newest: tuple[int, Tensor] | None = None
        self._always_same_views = augmentation.spec == AugmentationSpec()
        self.cached_epochs = int(memory_limit // (4 * len(images) * classes))
        """Epochs, from the first, that are shared through files."""

    def epoch(self, epoch: int) -> Tensor:
        """The teacher's logits for the views of one epoch.

        Args:
            epoch: counted from 0.

        Returns:
            (n, classes), float32, on the device, in the order of the images. Not to be written to.

        Raises:
            TeacherError: the teacher gives logits of another number of classes.
        """
        if self._always_same_views:
            epoch = 0
        if self._newest is None or self._newest[0] != epoch:
            self._newest = None  # frees its memory before the next table is made
            shared = epoch < self.cached_epochs
            table = self._shared(epoch) if shared else self._compute(epoch)
            self._newest = (epoch, table)
        return self._newest[1]

    def _shared(self, epoch: int) -> Tensor:
        """From the epoch's file, which this process writes if no other has."""
        path = self._folder / f"epoch-{epoch:05d}.npy"
        table = self._read(path)
        if table is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                # Another process may have written it while this one waited.
                table = self._read(path)
                if table is None:
                    table = self._compute(epoch)
                    self._write(path, table)
        return table

    def _compute(self, epoch: int) -> Tensor:
        """By the teacher, in batches that depend on nothing but the number of images."""
        if not isinstance(self._teacher, Teacher):
            self._teacher = self._teacher()
        table = torch.empty(self._shape, device=self._device)
        order = torch.arange(len(self._images), device=self._images.labels.device)
        start = 0
        for indices, images in self._images.batches(order, self._batch_size):
            views = self._augmentation.view(images, indices, epoch)
            logits = self._teacher(views).logits
            if logits.shape[1] != self._shape[1]:
                raise TeacherError(
                    f"expected logits of {self._shape[1]} classes from the teacher, "
                    f"got {logits.shape[1]}",
                    hint="the teacher must have been trained on the classes of the data set",
                )
            table[start : start + len(logits)] = logits
            start += len(logits)
        return table

    def _read(self, path: Path) -> Tensor | None:
        """The table in a file, mapped into memory. None if there is no sound file."""
        if not path.exists():
            return None
        size = len(self._header) + 4 * self._shape[0] * self._shape[1] + _CHECKSUM_BYTES
        # Copy-on-write: torch wants memory that it may write to, the file must never change.
        content = np.memmap(path, np.uint8, mode="c") if path.stat().st_size == size else None
        if content is None or not self._is_sound(content):
            _LOG.warning("computing the teacher's outputs again, %s is damaged", path)
            return None
        values = content[len(self._header) : -_CHECKSUM_BYTES].view("<f4").reshape(self._shape)
        return torch.from_numpy(values).to(self._device)

    def _is_sound(self, content: NDArray[np.uint8]) -> bool:
        header, rest = content[: len(self._header)], content[len(self._header) :]
        values, checksum = rest[:-_CHECKSUM_BYTES], rest[-_CHECKSUM_BYTES:]
        return header.tobytes() == self._header and checksum.tobytes() == _checksum(values.data)

    def _write(self, path: Path, table: Tensor) -> None:
        values = table.cpu().numpy().astype("<f4", copy=False).data.cast("B")
        try:
            write_atomically(path, [self._header, values, _checksum(values)])
        except StorageFullError as error:
            _LOG.warning("the teacher's outputs of this epoch are not shared: %s", error.message)


def _checksum(values: memoryview) -> bytes:
    return zlib.crc32(values).to_bytes(_CHECKSUM_BYTES, "little")


def _npy_header(shape: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()
