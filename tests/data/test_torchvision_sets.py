from __future__ import annotations

import json
import pickle  # noqa: TID251 (as data travels to worker processes)
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from autokd.data import TORCHVISION_SETS, StreamedImages, torchvision_set
from autokd.errors import DataError, UnknownNameError
from autokd.spec import names
from autokd.spec.models import AugmentationSpec
from autokd.task import Task

RNG = np.random.default_rng(0)


def idx(array: np.ndarray) -> bytes:
    header = b"\x00\x00\x08" + bytes([array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write_mnist_like(folder: Path, prefixes: dict[str, int]) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for prefix, count in prefixes.items():
        images = RNG.integers(0, 256, (count, 6, 6), dtype=np.uint8)
        labels = (np.arange(count) % 2).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
        written[prefix] = images
    return written


def write_image(path: Path, grey: int) -> None:
    """A plain image in a size of its own, told by its grey level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8 + grey % 5, 9), (grey,) * 3).save(path)


def greys(images: Any) -> list[int]:
    fetched = images.fetch(torch.arange(len(images)))
    found: list[int] = fetched.flatten(1).float().mean(1).round().int().tolist()
    return found


class TestArraySets:
    @pytest.mark.parametrize("place", ["", "FashionMNIST/raw"], ids=["itself", "torchvision's"])
    def test_fashion_mnist_is_read_from_the_folder_itself_and_where_torchvision_keeps_it(
        self, tmp_path: Path, place: str
    ) -> None:
        written = write_mnist_like(tmp_path / place, {"train": 20, "t10k": 6})
        data = torchvision_set("fashion_mnist", tmp_path)
        assert data.task == Task((1, 6, 6), 2)
        assert data.name == "fashion_mnist"
        assert data.augmentation == AugmentationSpec(pad=2, flip=True)
        assert (len(data.train), len(data.validation), len(data.test())) == (16, 4, 6)
        test = data.test().fetch(torch.arange(6))[:, 0]
        assert torch.equal(test, torch.from_numpy(written["t10k"]))

    @pytest.mark.parametrize("place", ["", "MNIST/raw"], ids=["itself", "torchvision's"])
    def test_the_test_images_are_not_read_before_they_are_asked_for(
        self, tmp_path: Path, place: str
    ) -> None:
        folder = tmp_path / place
        write_mnist_like(folder, {"train": 20, "t10k": 6})
        (folder / "t10k-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03broken")
        data = torchvision_set("mnist", tmp_path)
        assert data.augmentation == AugmentationSpec(pad=2)
        with pytest.raises(DataError, match="mnist|t10k"):
            data.test()

    def test_idx_files_that_are_not_all_there_are_reported_at_once(self, tmp_path: Path) -> None:
        write_mnist_like(tmp_path, {"train": 20})
        with pytest.raises(DataError, match="it lacks t10k-images-idx3-ubyte, t10k-labels"):
            torchvision_set("kmnist", tmp_path)

    def test_emnist_is_its_balanced_split(self, tmp_path: Path) -> None:
        write_mnist_like(
            tmp_path / "EMNIST" / "raw", {"emnist-balanced-train": 20, "emnist-balanced-test": 4}
        )
        data = torchvision_set("emnist", tmp_path)
        assert (len(data.train) + len(data.validation), len(data.test())) == (20, 4)

    @pytest.mark.parametrize("memory_limit", [1 << 30, 1], ids=["in memory", "streamed"])
    def test_images_are_scaled_if_another_size_is_asked_for(
        self, tmp_path: Path, memory_limit: int
    ) -> None:
        write_mnist_like(tmp_path, {"train": 20, "t10k": 6})
        data = torchvision_set("mnist", tmp_path, image_size=12, memory_limit=memory_limit)
        assert data.task.input_shape == (1, 12, 12)
        assert data.train.fetch(torch.arange(2)).shape == (2, 1, 12, 12)
        assert isinstance(data.train, StreamedImages) == (memory_limit == 1)

    def test_data_can_be_pickled(self, tmp_path: Path) -> None:
        write_mnist_like(tmp_path / "MNIST" / "raw", {"train": 20, "t10k": 6})
        data = pickle.loads(pickle.dumps(torchvision_set("mnist", tmp_path)))
        assert len(data.test()) == 6

    @pytest.mark.parametrize(
        ("name", "data", "labels"),
        [
            ("cifar10", np.zeros((8, 32, 32, 3)), {"targets": [0, 1] * 4}),
            ("usps", np.zeros((8, 32, 32)), {"targets": [0, 1] * 4}),
            ("svhn", np.zeros((8, 3, 32, 32)), {"labels": np.array([0, 1] * 4)}),
            ("stl10", np.zeros((8, 3, 32, 32)), {"labels": np.array([0, 1] * 4, np.uint8)}),
        ],
    )
    def test_axes_are_put_in_order(
        self, monkeypatch: pytest.MonkeyPatch, name: str, data: np.ndarray, labels: dict[str, Any]
    ) -> None:
        from torchvision import datasets

        class Fake:
            def __init__(self, root: Path, download: bool, **split: Any) -> None:
                assert split in ({"train": True}, {"split": "train"})
                self.data = data.astype(np.uint8)
                vars(self).update(labels)

        cls = {"cifar10": "CIFAR10", "usps": "USPS", "svhn": "SVHN", "stl10": "STL10"}[name]
        monkeypatch.setattr(datasets, cls, Fake)
        channels = 1 if name == "usps" else 3
        made = torchvision_set(name, "anywhere", validation=0.25)
        assert made.task == Task((channels, 32, 32), 2)
        assert torch.bincount(made.train.labels).tolist() == [3, 3]


class TestFileSets:
    def write_food101(self, root: Path) -> None:
        listed: dict[str, dict[str, list[str]]] = {"train": {}, "test": {}}
        for label, food in enumerate(("apple", "bread")):
            for split, count in (("train", 4), ("test", 2)):
                stems = [f"{food}/{split}{i}" for i in range(count)]
                listed[split][food] = stems
                for i, stem in enumerate(stems):
                    grey = 100 * label + 10 * i + (5 if split == "test" else 0)
                    write_image(root / "food-101" / "images" / f"{stem}.jpg", grey)
        (root / "food-101" / "meta").mkdir()
        for split, stems_of in listed.items():
            (root / "food-101" / "meta" / f"{split}.json").write_text(json.dumps(stems_of))

    def test_images_and_labels_belong_together(self, tmp_path: Path) -> None:
        self.write_food101(tmp_path)
        data = torchvision_set("food101", tmp_path, image_size=6, validation=0.25)
        assert data.task == Task((3, 6, 6), 2)
        assert greys(data.test()) == [5, 15, 105, 115]
        assert data.test().labels.tolist() == [0, 0, 1, 1]
        seen = sorted(greys(data.train) + greys(data.validation))
        assert seen == [0, 10, 20, 30, 100, 110, 120, 130]
        assert [grey // 100 for grey in greys(data.train)] == data.train.labels.tolist()

    def test_large_sets_are_streamed(self, tmp_path: Path) -> None:
        self.write_food101(tmp_path)
        here = torchvision_set("food101", tmp_path, image_size=6)
        streamed = torchvision_set("food101", tmp_path, image_size=6, memory_limit=1)
        assert isinstance(streamed.train, StreamedImages)
        assert greys(streamed.train) == greys(here.train)

    def test_a_corrupt_image_is_named(self, tmp_path: Path) -> None:
        self.write_food101(tmp_path)
        (tmp_path / "food-101" / "images" / "bread" / "test1.jpg").write_bytes(b"no image")
        data = torchvision_set("food101", tmp_path, image_size=6)
        with pytest.raises(DataError, match=r"bread/test1\.jpg"):
            data.test()

    def test_gtsrb_keeps_pairs_of_path_and_label(self, tmp_path: Path) -> None:
        base = tmp_path / "gtsrb"
        for label in (0, 1):
            for i in range(3):
                path = base / "GTSRB" / "Training" / f"0000{label}" / f"{i}.ppm"
                write_image(path, 100 * label + i)
        write_image(base / "GTSRB" / "Final_Test" / "Images" / "0.ppm", 77)
        (base / "GT-final_test.csv").write_text("Filename;ClassId\n0.ppm;1\n")
        data = torchvision_set("gtsrb", tmp_path, image_size=6)
        assert sorted(greys(data.train) + greys(data.validation)) == [0, 1, 2, 100, 101, 102]
        assert (greys(data.test()), data.test().labels.tolist()) == ([77], [1])

    def test_oxford_iiit_pet_lists_its_files(self, tmp_path: Path) -> None:
        base = tmp_path / "oxford-iiit-pet"
        (base / "annotations").mkdir(parents=True)
        for split, count in (("trainval", 3), ("test", 1)):
            lines = []
            for label, pet in enumerate(("cat", "dog")):
                for i in range(count):
                    write_image(base / "images" / f"{pet}_{split}_{i}.jpg", 100 * label + i)
                    lines.append(f"{pet}_{split}_{i} {label + 1} 1 1")
            (base / "annotations" / f"{split}.txt").write_text("\n".join(lines))
        data = torchvision_set("oxford_iiit_pet", tmp_path, image_size=6)
        assert data.test().labels.tolist() == [0, 1]
        assert [grey // 100 for grey in greys(data.train)] == data.train.labels.tolist()

    @pytest.mark.parametrize(
        ("name", "folder", "splits", "labels", "suffix"),
        [
            ("country211", "country211", ("train", "valid", "test"), ("AD", "ZW"), "jpg"),
            (
                "rendered_sst2",
                "rendered-sst2",
                ("train", "valid", "test"),
                ("negative", "positive"),
                "png",
            ),
            ("imagenette", "imagenette2", ("train", "val"), ("n01440764", "n02102040"), "jpeg"),
        ],
    )
    def test_named_validation_images_count_as_training_images_if_there_are_test_images(
        self,
        tmp_path: Path,
        name: str,
        folder: str,
        splits: tuple[str, ...],
        labels: tuple[str, str],
        suffix: str,
    ) -> None:
        for place, split in enumerate(splits):
            for label, cls in enumerate(labels):
                for i in range(2):
                    path = tmp_path / folder / split / cls / f"{i}.{suffix}"
                    write_image(path, 100 * label + 10 * place + i)
        data = torchvision_set(name, tmp_path, image_size=6)
        last = 10 * (len(splits) - 1)
        assert greys(data.test()) == [last, last + 1, 100 + last, 101 + last]
        assert len(data.train) + len(data.validation) == 4 * (len(splits) - 1)

    def test_the_size_to_scale_to_must_be_given(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="food101: expected image_size"):
            torchvision_set("food101", tmp_path)


class TestMissingFiles:
    @pytest.mark.parametrize("name", TORCHVISION_SETS)
    def test_are_a_data_error_that_names_the_folder_and_nothing_is_fetched_or_made(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_network(*args: Any, **kwargs: Any) -> None:
            raise AssertionError("the network was asked")

        monkeypatch.setattr("urllib.request.urlopen", no_network)
        root = tmp_path / "nowhere"
        with pytest.raises(DataError) as caught:
            torchvision_set(name, root, image_size=32)
        assert caught.value.message.startswith(f"{name}: expected the files")
        assert str(root) in caught.value.message
        assert "download: true" in (caught.value.hint or "")
        assert not root.exists()

    def test_a_failed_download_is_a_data_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unreachable(*args: Any, **kwargs: Any) -> None:
            raise OSError("no route to host")

        monkeypatch.setattr("urllib.request.urlopen", unreachable)
        with pytest.raises(DataError, match="no route to host"):
            torchvision_set("svhn", tmp_path, download=True)

    @pytest.mark.parametrize(
        "call", [{"download": False}, {"download": True}, {}], ids=["no", "yes", "left out"]
    )
    def test_torchvision_downloads_only_if_it_is_told_to(
        self, monkeypatch: pytest.MonkeyPatch, call: dict[str, Any]
    ) -> None:
        from torchvision import datasets

        asked: list[bool] = []

        def fake(root: Path, download: bool, **split: Any) -> None:
            asked.append(download)
            raise RuntimeError("stop")

        monkeypatch.setattr(datasets, "CIFAR10", fake)
        with pytest.raises(DataError):
            torchvision_set("cifar10", "anywhere", **call)
        assert asked == [call.get("download", False)]


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fashion_mnist'"):
        torchvision_set("fashon_mnist")


def test_every_name_is_the_class_of_torchvision_in_snake_case() -> None:
    from torchvision import datasets

    from autokd.data.torchvision_sets import _SETS

    assert list(TORCHVISION_SETS) == sorted(TORCHVISION_SETS)
    for name, entry in _SETS.items():
        assert name.replace("_", "") == entry.cls.lower()
        assert hasattr(datasets, entry.cls)


def test_a_study_may_name_none_but_known_sets() -> None:
    assert set(names.TORCHVISION_SETS) <= set(TORCHVISION_SETS)
