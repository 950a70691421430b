"""`Data`: the training, validation and test images of a study, and how every source makes them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypedDict

import numpy as np
import torch

from autokd.data.checks import check_options, check_test, count_classes
from autokd.data.images import ImageSet, StreamedImages, TensorImages
from autokd.data.readers import ImageReader
from autokd.data.split import balanced_subset, stratified_split
from autokd.seeding import rng_for
from autokd.spec.models import AugmentationSpec
from autokd.task import Task

_CPU = torch.device("cpu")
_MEMORY_LIMIT = 2 << 30

_STATISTICS_IMAGES = 2048
"""Images that mean and deviation are taken from when the set is too large for memory."""


@dataclass(frozen=True, eq=False)
class Data:
    """The images of a study: training, validation and test are three different things.

    It can be pickled, so that data made in Python travels to worker processes; test images that
    have been read stay behind.

    Attributes:
        task: shape of the images and number of classes.
        train: what teacher and students learn from.
        validation: what steers the search; held out of the source's training images.
        mean: of each channel of `train`, for pixels in [0, 1].
        std: standard deviation of each channel of `train`; 1 for a constant channel.
        augmentation: random views of `train` while training.
        fingerprint: SHA-256 of the task and of `train` and `validation`: labels and pixels (file
            names and sizes where files are read as needed).
        name: of the data set.
        read_test: reads the test images; called by `test` only.
    """

    task: Task
    train: ImageSet
    validation: ImageSet
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: AugmentationSpec
    fingerprint: str
    name: str
    read_test: Callable[[], ImageSet]

    def test(self) -> ImageSet:
        """The test images, read at the first call: nothing may look at them during a search.

        Raises:
            DataError: they are missing, corrupt, or do not fit the training images.
        """
        return self._test

    @cached_property
    def _test(self) -> ImageSet:
        return self.read_test().to(self.train.labels.device)

    def to(self, device: torch.device) -> Data:
        """The same data for another device."""
        return dataclasses.replace(
            self, train=self.train.to(device), validation=self.validation.to(device)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_test"}


@dataclass(frozen=True, eq=False)
class Source:
    """One official split of a data set, whose images are not read yet.

    Attributes:
        reader: reads the images by row.
        labels: (n,) whole numbers, the class of each row.
    """

    reader: ImageReader
    labels: np.ndarray


class DataOptions(TypedDict, total=False):
    """Keyword arguments that every data set takes.

    Attributes:
        validation: share of the training images that is held out, in (0, 1); default 0.2.
        seed: seed of the study, which chooses the images held out; default 0.
        augmentation: random views in training; None, the default, is what is customary.
        train_limit: use only this many of the set's training images, equally of each class, for
            `train` and `validation` together; None, the default, uses all.
        device: that the images are for; default the CPU.
        memory_limit: a split of more bytes than this is read batch by batch; default 2 GiB.
        workers: processes that read such a split ahead; default 0.
    """

    validation: float
    seed: int
    augmentation: AugmentationSpec | None
    train_limit: int | None
    device: torch.device
    memory_limit: int
    workers: int


def build_data(
    name: str,
    train: Source,
    read_test: Callable[[], Source],
    customary: AugmentationSpec,
    *,
    validation: float = 0.2,
    seed: int = 0,
    augmentation: AugmentationSpec | None = None,
    train_limit: int | None = None,
    device: torch.device = _CPU,
    memory_limit: int = _MEMORY_LIMIT,
    workers: int = 0,
) -> Data:
    """The data of a study from a set's training images and a way to read its test images.

    The keyword arguments, with their defaults, are those of `DataOptions`.

    Args:
        name: of the data set.
        train: the training images.
        read_test: gives the test images; must be picklable.
        customary: the augmentation when none is asked for.
        validation: share of the training images that is held out.
        seed: of the study.
        augmentation: random views in training.
        train_limit: number of training images used.
        device: that the images are for.
        memory_limit: in bytes, above which a split is read batch by batch.
        workers: processes that read ahead.

    Raises:
        DataError: an argument is out of range, the labels are not 0..classes-1, a class has too
            few images, or an image cannot be read.
    """
    augmentation = customary if augmentation is None else augmentation
    task = Task(train.reader.shape, count_classes(name, train.labels))
    check_options(name, task, len(train.labels), validation, train_limit, augmentation)
    used = np.arange(len(train.labels))
    if train_limit is not None:
        used = balanced_subset(train.labels, train_limit, rng_for(seed, 0, "train_limit"))
    parts = stratified_split(train.labels[used], validation, rng_for(seed, 0, "split"))
    in_memory = len(used) * math.prod(task.input_shape) <= memory_limit
    kept, held_out = (_image_set(train, used[part], in_memory, workers) for part in parts)
    mean, std = _statistics(kept)
    return Data(
        task=task,
        train=kept.to(device),
        validation=held_out.to(device),
        mean=mean,
        std=std,
        augmentation=augmentation,
        fingerprint=_fingerprint(task, kept, held_out),
        name=name,
        read_test=partial(_read_test, name, read_test, task, memory_limit, workers),
    )


def _read_test(
    name: str, read: Callable[[], Source], task: Task, memory_limit: int, workers: int
) -> ImageSet:
    """The test images, checked against the training images."""
    source = read()
    check_test(name, task, source.reader.shape, source.labels)
    in_memory = len(source.labels) * math.prod(task.input_shape) <= memory_limit
    return _image_set(source, np.arange(len(source.labels)), in_memory, workers)


def _image_set(
    source: Source, rows: np.ndarray, in_memory: bool, workers: int
) -> TensorImages | StreamedImages:
    """These rows of the source, in the order given, on the CPU."""
    chosen = torch.from_numpy(rows)
    labels = torch.from_numpy(source.labels[rows].astype(np.int64))
    if in_memory:
        return TensorImages(source.reader[chosen], labels)
    return StreamedImages(source.reader, chosen, labels, workers)


def _statistics(
    images: TensorImages | StreamedImages,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, for pixels in [0, 1].

    Of all images in memory, or of an even sample where each must be read. Exact: from counts of
    the 256 values.
    """
    step = 1 if isinstance(images, TensorImages) else math.ceil(len(images) / _STATISTICS_IMAGES)
    order = torch.arange(0, len(images), step)
    counts = torch.stack(
        [
            torch.stack([torch.bincount(c.flatten(), minlength=256) for c in batch.unbind(1)])
            for _, batch in images.batches(order, 1024)
        ]
    ).sum(0)
    share = counts.double() / counts.sum(1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ values
    std = ((share * (values - mean[:, None]) ** 2).sum(1)).sqrt()
    std[(counts > 0).sum(1) == 1] = 1
    return tuple(mean.tolist()), tuple(std.tolist())


def _fingerprint(task: Task, *sets: TensorImages | StreamedImages) -> str:
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(task)).encode())
    for images in sets:
        digest.update(images.labels.numpy().astype("<i8").tobytes())
        for content in images.contents():
            digest.update(content)
    return digest.hexdigest()
