from __future__ import annotations

import math
import pickle  # noqa: TID251 (as data travels to worker processes)
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from autokd.data import Data, StreamedImages, TensorImages, from_arrays
from autokd.data.data import Source, build_data
from autokd.data.readers import ArrayReader
from autokd.errors import DataError
from autokd.spec.models import AugmentationSpec

Make = Callable[..., dict[str, Any]]


def pixels_of(images: Any) -> torch.Tensor:
    found: torch.Tensor = images.fetch(torch.arange(len(images)))
    return found


class TestTest:
    """Whether the test images stay unread until they are asked for."""

    def test_is_read_at_the_first_call_and_only_once(self, make_arrays: Make) -> None:
        arrays = make_arrays()
        calls = []

        def read() -> Source:
            calls.append(1)
            return Source(
                ArrayReader(torch.from_numpy(arrays["x_test"])[:, None]), arrays["y_test"]
            )

        train = Source(ArrayReader(torch.from_numpy(arrays["x_train"])[:, None]), arrays["y_train"])
        data = build_data("fake", train, read, AugmentationSpec())
        assert calls == []
        first = data.test()
        assert data.test() is first
        assert calls == [1]
        assert torch.equal(pixels_of(first)[:, 0], torch.from_numpy(arrays["x_test"]))

    def test_images_already_read_are_not_pickled(self, make_arrays: Make) -> None:
        data = from_arrays(**make_arrays())
        size = len(pickle.dumps(data))
        data.test()
        assert len(pickle.dumps(data)) == size


def test_train_and_validation_share_out_the_training_images(make_arrays: Make) -> None:
    arrays = make_arrays(train=30)
    data = from_arrays(**arrays, validation=0.3)
    assert (len(data.train), len(data.validation)) == (21, 9)
    for part, each in ((data.train, 7), (data.validation, 3)):
        assert torch.bincount(part.labels).tolist() == [each] * 3
    together = torch.cat((pixels_of(data.train), pixels_of(data.validation)))
    rows = sorted(image.numpy().tobytes() for image in together)
    assert rows == sorted(image.tobytes() for image in arrays["x_train"])


def test_images_keep_their_labels(make_arrays: Make) -> None:
    arrays = make_arrays()
    label_of = {
        image.tobytes(): int(label)
        for image, label in zip(arrays["x_train"], arrays["y_train"], strict=True)
    }
    data = from_arrays(**arrays)
    for part in (data.train, data.validation):
        for image, label in zip(pixels_of(part), part.labels.tolist(), strict=True):
            assert label_of[image.numpy().tobytes()] == label


def test_the_split_follows_the_seed(make_arrays: Make) -> None:
    arrays = make_arrays()
    first, again, other = (from_arrays(**arrays, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(pixels_of(first.train), pixels_of(again.train))
    assert not torch.equal(pixels_of(first.train), pixels_of(other.train))


def test_a_limit_bounds_train_and_validation_together_and_stays_balanced(make_arrays: Make) -> None:
    data = from_arrays(**make_arrays(train=60), train_limit=30, validation=0.2)
    assert (len(data.train), len(data.validation)) == (24, 6)
    assert torch.bincount(data.train.labels).tolist() == [8, 8, 8]
    assert len(data.test()) == 9


def test_mean_and_deviation_are_those_of_the_training_pixels(make_arrays: Make) -> None:
    data = from_arrays(**make_arrays(shape=(6, 5, 3)))
    pixels = pixels_of(data.train).double() / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist())
    assert data.std == pytest.approx(pixels.transpose(0, 1).flatten(1).std(1, False).tolist())


def test_a_constant_channel_has_deviation_one(make_arrays: Make) -> None:
    arrays = make_arrays(shape=(6, 5, 2))
    arrays["x_train"][..., 1] = 51
    data = from_arrays(**arrays)
    assert data.mean[1] == pytest.approx(0.2)
    assert data.std[1] == 1
    assert 0 < data.std[0] < 1


class TestMemoryLimit:
    def test_decides_what_is_streamed_and_changes_nothing_else(self, make_arrays: Make) -> None:
        arrays = make_arrays()
        size = arrays["x_train"].nbytes
        here, streamed = (from_arrays(**arrays, memory_limit=limit) for limit in (size, size - 1))
        assert isinstance(here.train, TensorImages) and isinstance(here.test(), TensorImages)
        assert isinstance(streamed.train, StreamedImages)
        assert isinstance(streamed.validation, StreamedImages)
        for part in ("train", "validation"):
            one, two = getattr(here, part), getattr(streamed, part)
            assert torch.equal(one.labels, two.labels)
            assert torch.equal(pixels_of(one), pixels_of(two))
        assert torch.equal(pixels_of(here.test()), pixels_of(streamed.test()))
        assert here.fingerprint == streamed.fingerprint
        assert here.mean == streamed.mean

    def test_counts_only_the_images_that_are_used(self, make_arrays: Make) -> None:
        arrays = make_arrays(train=60)
        limit = arrays["x_train"].nbytes // 2
        assert isinstance(from_arrays(**arrays, memory_limit=limit).train, StreamedImages)
        data = from_arrays(**arrays, memory_limit=limit, train_limit=30)
        assert isinstance(data.train, TensorImages)


class TestFingerprint:
    def test_is_the_same_for_the_same_content(self, make_arrays: Make) -> None:
        prints = {from_arrays(**make_arrays(), name=name).fingerprint for name in ("a", "b")}
        assert len(prints) == 1
        assert all(len(found) == 64 for found in prints)

    @pytest.mark.parametrize(
        "options", [{"seed": 1}, {"validation": 0.4}, {"train_limit": 12}], ids=str
    )
    def test_changes_with_the_split(self, make_arrays: Make, options: dict[str, Any]) -> None:
        arrays = make_arrays()
        assert from_arrays(**arrays).fingerprint != from_arrays(**arrays, **options).fingerprint

    @pytest.mark.parametrize("key", ["x_train", "y_train"])
    def test_changes_with_the_training_content(self, make_arrays: Make, key: str) -> None:
        arrays, changed = make_arrays(), make_arrays()
        changed[key] = np.roll(changed[key], 1, axis=0)
        assert from_arrays(**arrays).fingerprint != from_arrays(**changed).fingerprint

    def test_does_not_look_at_the_test_images(self, make_arrays: Make) -> None:
        arrays, changed = make_arrays(), make_arrays()
        changed["x_test"][:] = 0
        assert from_arrays(**arrays).fingerprint == from_arrays(**changed).fingerprint


@pytest.mark.parametrize("memory_limit", [1 << 30, 1], ids=["in memory", "streamed"])
def test_data_is_the_same_after_pickling(make_arrays: Make, memory_limit: int) -> None:
    data = from_arrays(**make_arrays(), memory_limit=memory_limit)
    copy: Data = pickle.loads(pickle.dumps(data))
    assert copy.task == data.task and copy.fingerprint == data.fingerprint
    for one, two in (
        (copy.train, data.train),
        (copy.validation, data.validation),
        (copy.test(), data.test()),
    ):
        assert torch.equal(pixels_of(one), pixels_of(two))
        assert torch.equal(one.labels, two.labels)


def test_data_moves_to_another_device_with_its_test_images(make_arrays: Make) -> None:
    data = from_arrays(**make_arrays())
    data.test()
    moved = data.to(torch.device("meta"))
    assert {part.labels.device.type for part in (moved.train, moved.validation, moved.test())} == {
        "meta"
    }
    assert data.test().labels.device.type == "cpu"


def test_an_augmentation_asked_for_takes_the_place_of_the_customary_one(make_arrays: Make) -> None:
    assert from_arrays(**make_arrays()).augmentation == AugmentationSpec()
    wanted = AugmentationSpec(pad=1, cutout=2)
    assert from_arrays(**make_arrays(), augmentation=wanted).augmentation == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.0}, "validation between 0 and 1, got 0.0"),
        ({"validation": 1.0}, "validation between 0 and 1, got 1.0"),
        ({"validation": math.nan}, "validation between 0 and 1, got nan"),
        ({"validation": 0.91}, "leave an image of each of the 3 classes .*, got 0.91 of 30 images"),
        ({"train_limit": 5}, "train_limit of at least 2 images of each of the 3 classes, got 5"),
        ({"augmentation": AugmentationSpec(pad=5)}, "augmentation.pad below .* 5 pixels, got 5"),
        ({"augmentation": AugmentationSpec(cutout=9)}, "augmentation.cutout below .*, got 9"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(
    make_arrays: Make, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        from_arrays(**make_arrays(), **options)


def test_importing_the_package_loads_neither_torchvision_nor_scikit_learn() -> None:
    script = (
        "import sys, autokd.data; print({'torchvision', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
