"""Real files where they are at hand; a few images of each."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import torch

from autokd.data import image_folder, npz, torchvision_set
from autokd.task import Task


def test_fashion_mnist(real_sets: Path) -> None:
    data = torchvision_set("fashion_mnist", real_sets / "fashion_mnist", train_limit=2000)
    assert data.task == Task((1, 28, 28), 10)
    assert torch.bincount(data.train.labels).tolist() == [160] * 10
    # Figures of the whole training set, as its authors give them.
    assert data.mean[0] == pytest.approx(0.2860, abs=0.01)
    assert data.std[0] == pytest.approx(0.3530, abs=0.01)
    test = data.test()
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    assert test.labels[:5].tolist() == [9, 2, 1, 1, 6]  # ankle boot, pullover, trousers, shirt


def test_orl_faces(real_sets: Path) -> None:
    data = npz(real_sets / "orl_faces" / "orl_faces.npz")
    assert data.task == Task((1, 112, 92), 40)
    assert torch.bincount(data.validation.labels).tolist() == [1] * 40
    assert len(data.test()) == 200


def test_cifar10_as_jpeg_files(real_sets: Path, tmp_path: Path) -> None:
    members: list[tuple[str, str]] = []
    for split, each in (("train", 4), ("test", 2)):
        archive = real_sets / "cifar10_jpeg" / f"cifar10_{split}.tar.gz"
        with tarfile.open(archive, "r|gz") as tar:
            counts: dict[str, int] = {}
            for member in tar:
                cls = Path(member.name).parent.name
                if member.isfile() and counts.get(cls, 0) < each and len(counts) <= 2:
                    counts[cls] = counts.get(cls, 0) + 1
                    tar.extract(member, tmp_path, filter="data")
                    members.append((split, cls))
                if len(counts) >= 2 and all(count == each for count in counts.values()):
                    break
    data = image_folder(tmp_path / "cifar10", 32)
    assert data.task == Task((3, 32, 32), 2)
    assert len(data.train) + len(data.validation) == 8
    assert len(data.test()) == 4
