"""The images of one split, in the device's memory (`TensorImages`) or read as needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from autokd.data.readers import ImageReader


class ImageSet(Protocol):
    """Labelled images of one split; sample `i` is always the same image."""

    @property
    def labels(self) -> Tensor:
        """(n,) int64 in [0, classes), on the device."""
        ...

    def __len__(self) -> int: ...

    def fetch(self, indices: Tensor) -> Tensor:
        """Images (b, channels, height, width) uint8 on the device, for indices (b,) int64."""
        ...

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Indices (b,) and images (b, channels, height, width) uint8, both on the device.

        Args:
            order: (m,) int64, the samples in the order in which they are to come.
            batch_size: samples in a batch; the last one may be shorter.
        """
        ...

    def to(self, device: torch.device) -> ImageSet:
        """The same images for another device."""
        ...


@dataclass(frozen=True, eq=False)
class TensorImages:
    """A whole set in the memory of the device.

    Attributes:
        images: (n, channels, height, width) uint8.
        labels: (n,) int64, on the same device.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                "expected images (n, channels, height, width) uint8, "
                f"got {tuple(self.images.shape)} {self.images.dtype}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"expected {len(self.images)} labels int64, "
                f"got {tuple(self.labels.shape)} {self.labels.dtype}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def fetch(self, indices: Tensor) -> Tensor:
        """See `ImageSet.fetch`."""
        # Not images[indices]: that is 25 times slower for uint8 on the CPU.
        return self.images.index_select(0, indices.to(self.images.device))

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `ImageSet.batches`."""
        for indices in torch.split(order.to(self.images.device), batch_size):
            yield indices, self.fetch(indices)

    def contents(self) -> Iterator[bytes]:
        """The pixels."""
        for images in torch.split(self.images, 4096):
            yield images.cpu().numpy().tobytes()

    def to(self, device: torch.device) -> TensorImages:
        """See `ImageSet.to`."""
        return TensorImages(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """A set too large for memory, read batch by batch through a `DataLoader`.

    Attributes:
        reader: reads the images.
        rows: (n,) int64 on the CPU, which image of the reader each sample is.
        labels: (n,) int64, on the device that the images are for.
        workers: processes that read ahead; 0 reads in this one.
    """

    reader: ImageReader
    rows: Tensor
    labels: Tensor
    workers: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def fetch(self, indices: Tensor) -> Tensor:
        """See `ImageSet.fetch`."""
        return self.reader[self.rows[indices.cpu()]].to(self.labels.device)

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `ImageSet.batches`."""
        device = self.labels.device
        loader = DataLoader(
            cast("Dataset[Tensor]", self.reader),
            # Without automatic batching the loader asks the reader for whole batches of rows.
            batch_size=None,
            sampler=torch.split(self.rows[order.cpu()], batch_size),
            num_workers=self.workers,
            pin_memory=device.type == "cuda",
            # A loader without its own generator advances the global one.
            generator=torch.Generator(),
        )
        for indices, images in zip(torch.split(order.to(device), batch_size), loader, strict=True):
            yield indices, images.to(device, non_blocking=True)

    def contents(self) -> Iterator[bytes]:
        """The pixels, or names and sizes of the files; see `ImageReader.contents`."""
        yield from self.reader.contents(self.rows)

    def to(self, device: torch.device) -> StreamedImages:
        """See `ImageSet.to`."""
        return dataclasses.replace(self, labels=self.labels.to(device))
