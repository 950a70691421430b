from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from autokd.data import Data, ImageSet, digits
from autokd.data.scikit import _load_digits
from autokd.spec.models import AugmentationSpec
from autokd.task import Task


def rows_of(images: ImageSet) -> list[bytes]:
    return [image.numpy().tobytes() for image in images.fetch(torch.arange(len(images)))]


def splits(data: Data) -> tuple[ImageSet, ImageSet, ImageSet]:
    return data.train, data.validation, data.test()


def test_digits_are_those_that_scikit_learn_loads() -> None:
    for ours, theirs in zip(_load_digits(), load_digits(return_X_y=True), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_digits_are_8x8_grey_over_the_full_range() -> None:
    data = digits()
    assert data.task == Task((1, 8, 8), 10)
    assert data.name == "digits"
    assert data.augmentation == AugmentationSpec(pad=1)
    pixels = torch.cat([part.fetch(torch.arange(len(part))) for part in splits(data)])
    assert sorted(set(pixels.flatten().tolist())) == [
        round(level * 255 / 16) for level in range(17)
    ]


def test_the_three_splits_share_out_all_digits_class_by_class() -> None:
    data = digits(validation=0.25)
    images, labels = load_digits(return_X_y=True)
    expected = np.rint(images * 255 / 16).astype(np.uint8)
    together = sorted(row for part in splits(data) for row in rows_of(part))
    assert together == sorted(row.tobytes() for row in expected)
    counts = np.bincount(labels)
    for part, share in zip(splits(data), (0.6, 0.2, 0.2), strict=True):
        assert np.all(np.abs(np.bincount(part.labels.numpy()) - share * counts) <= 1.5)


def test_every_seed_has_the_same_test_images_and_its_own_validation_images() -> None:
    first, second = digits(seed=1), digits(seed=2)
    assert rows_of(first.test()) == rows_of(second.test())
    assert rows_of(first.validation) != rows_of(second.validation)
    assert rows_of(first.validation) == rows_of(digits(seed=1).validation)
