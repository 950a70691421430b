"""What must hold for any data set, whatever its source."""

from __future__ import annotations

import numpy as np

from autokd.errors import DataError
from autokd.spec.models import AugmentationSpec
from autokd.task import Task


def count_classes(name: str, labels: np.ndarray) -> int:
    """Number of classes of the training labels (n,), which must be 0..classes-1.

    Raises:
        DataError: there are no images, the labels have gaps, there are fewer than 2 classes, or a
            class has fewer than 2 images (one to learn from, one to hold out).
    """
    if len(labels) == 0:
        raise DataError(f"{name}: expected training images, got none")
    values, counts = np.unique(labels, return_counts=True)
    if values[0] != 0 or values[-1] != len(values) - 1:
        raise DataError(
            f"{name}: expected training labels 0, 1, 2, … with no class left out, "
            f"got {len(values)} different ones from {values[0]} to {values[-1]}",
            hint="number the classes that occur from 0",
        )
    if len(values) < 2:
        raise DataError(f"{name}: expected at least 2 classes, got 1")
    rare = values[counts < 2]
    if len(rare):
        raise DataError(
            f"{name}: expected at least 2 training images of each class, got 1 of {_listed(rare)}",
            hint="add images of these classes or leave the classes out",
        )
    return len(values)


def check_options(
    name: str,
    task: Task,
    images: int,
    validation: float,
    train_limit: int | None,
    augmentation: AugmentationSpec,
) -> None:
    """Raises DataError if an option does not fit the training images, so many of this task."""
    if not 0 < validation < 1:
        raise DataError(
            f"{name}: expected validation between 0 and 1, got {validation}",
            field="data.validation",
        )
    if train_limit is not None and train_limit < 2 * task.classes:
        raise DataError(
            f"{name}: expected train_limit of at least 2 images of each of the {task.classes} "
            f"classes, got {train_limit}",
            hint=f"set train_limit to {2 * task.classes} or more",
            field="data.train_limit",
        )
    images = min(images, train_limit or images)
    if (1 - validation) * images < task.classes:
        raise DataError(
            f"{name}: expected validation to leave an image of each of the {task.classes} classes "
            f"to learn from, got {validation} of {images} images",
            hint="lower validation; 0.2 is customary",
            field="data.validation",
        )
    side = min(task.input_shape[1:])
    for field, pixels in (("pad", augmentation.pad), ("cutout", augmentation.cutout)):
        if pixels >= side:
            raise DataError(
                f"{name}: expected augmentation.{field} below the side of the images, {side} "
                f"pixels, got {pixels}",
                field=f"data.augmentation.{field}",
            )


def check_test(name: str, task: Task, shape: tuple[int, int, int], labels: np.ndarray) -> None:
    """Raises DataError if test images of this shape, with these labels (n,), do not fit."""
    if len(labels) == 0:
        raise DataError(f"{name}: expected test images, got none")
    if shape != task.input_shape:
        raise DataError(
            f"{name}: expected test images of the shape of the training images, (channels, "
            f"height, width) = {task.input_shape}, got {shape}"
        )
    strange = np.setdiff1d(labels, np.arange(task.classes))
    if len(strange):
        raise DataError(
            f"{name}: expected test labels from 0 to {task.classes - 1}, the classes of the "
            f"training images, got {_listed(strange)}"
        )


def _listed(values: np.ndarray) -> str:
    shown = ", ".join(map(str, values[:5]))
    return f"{shown}, … ({len(values)} in all)" if len(values) > 5 else shown
