from __future__ import annotations

import pickle  # noqa: TID251 (as data travels to worker processes)
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autokd.data import FileReader, StreamedImages, TensorImages, image_folder
from autokd.errors import DataError
from autokd.task import Task

Make = Callable[..., Path]

BILINEAR = Image.Resampling.BILINEAR


def test_classes_are_the_folders_in_alphabetical_order(make_folder: Make) -> None:
    data = image_folder(make_folder(("cat", "Ant", "bee"), train=4), 8, validation=0.25)
    assert data.task == Task((3, 8, 8), 3)
    assert data.name == "insects"
    assert torch.bincount(data.train.labels).tolist() == [3, 3, 3]
    assert torch.bincount(data.validation.labels).tolist() == [1, 1, 1]
    assert data.test().labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_the_same_images_come_from_memory_and_from_a_stream(make_folder: Make) -> None:
    root = make_folder()
    here, streamed = image_folder(root, 8), image_folder(root, 8, memory_limit=100)
    assert isinstance(here.train, TensorImages) and isinstance(streamed.train, StreamedImages)
    for one, two in (
        (here.train, streamed.train),
        (here.validation, streamed.validation),
        (here.test(), streamed.test()),
    ):
        assert torch.equal(one.labels, two.labels)
        order = torch.arange(len(one)).flip(0)
        for (_, left), (_, right) in zip(one.batches(order, 3), two.batches(order, 3), strict=True):
            assert torch.equal(left, right)
    assert here.mean == streamed.mean and here.std == streamed.std


def test_worker_processes_read_the_same_images(make_folder: Make) -> None:
    root = make_folder()
    one = image_folder(root, 8, memory_limit=1).train
    two = image_folder(root, 8, memory_limit=1, workers=1).train
    order = torch.arange(len(one))
    for (_, left), (_, right) in zip(one.batches(order, 4), two.batches(order, 4), strict=True):
        assert torch.equal(left, right)


def test_an_image_of_the_right_size_is_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = FileReader(tmp_path, ["a.png"], 7)[torch.tensor([0])]
    assert torch.equal(read, torch.from_numpy(pixels).permute(2, 0, 1)[None])


@pytest.mark.parametrize("landscape", [True, False])
def test_of_a_long_image_the_middle_square_is_taken(tmp_path: Path, landscape: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 24, 3), dtype=np.uint8)
    image = Image.fromarray(pixels if landscape else pixels.swapaxes(0, 1).copy())
    image.save(tmp_path / "a.png")
    for size in (4, 8, 16):
        scaled = image.resize((3 * size, size) if landscape else (size, 3 * size), BILINEAR)
        left, top = (size, 0) if landscape else (0, size)
        expected = np.array(scaled.crop((left, top, left + size, top + size)))
        read = FileReader(tmp_path, ["a.png"], size)[torch.tensor([0])][0].permute(1, 2, 0)
        assert np.abs(read.numpy().astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_8_bit_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (5, 5), "white").convert(mode).save(tmp_path / "a.tif")
    read = FileReader(tmp_path, ["a.tif"], 5)[torch.tensor([0])]
    assert torch.equal(read, torch.full((1, 3, 5, 5), 255, dtype=torch.uint8))


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_8_bits_are_refused_rather_than_clipped(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (5, 5)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: expected 8 bits per channel"):
        FileReader(tmp_path, ["a.tif"], 5)[torch.tensor([0])]


def test_other_files_and_hidden_ones_are_passed_over(make_folder: Make) -> None:
    root = make_folder()
    expected = image_folder(root, 8).fingerprint
    (root / "train" / "ant" / "Thumbs.db").write_bytes(b"x")
    (root / "train" / "ant" / "._0.png").write_bytes(b"x")
    (root / "train" / "README.txt").write_bytes(b"x")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    assert image_folder(root, 8).fingerprint == expected


def test_folders_inside_a_class_belong_to_the_class(make_folder: Make) -> None:
    root = make_folder()
    inner = root / "train" / "ant" / "images"
    inner.mkdir()
    (root / "train" / "ant" / "0.png").rename(inner / "0.PNG")
    data = image_folder(root, 8)
    assert len(data.train) + len(data.validation) == 12


class TestFingerprint:
    def test_of_a_stream_is_that_of_names_and_sizes_wherever_the_folder_is(
        self, make_folder: Make, tmp_path: Path
    ) -> None:
        root = make_folder()
        shutil.copytree(root, tmp_path / "copy" / "insects")
        first = image_folder(root, 8, memory_limit=1).fingerprint
        assert image_folder(tmp_path / "copy" / "insects", 8, memory_limit=1).fingerprint == first
        (root / "train" / "ant" / "0.png").rename(root / "train" / "ant" / "9.png")
        assert image_folder(root, 8, memory_limit=1).fingerprint != first

    @pytest.mark.parametrize("memory_limit", [1 << 30, 1])
    def test_changes_with_the_image_size(self, make_folder: Make, memory_limit: int) -> None:
        root = make_folder()
        prints = {
            image_folder(root, size, memory_limit=memory_limit).fingerprint for size in (8, 9)
        }
        assert len(prints) == 2


class TestBadFolders:
    @pytest.mark.parametrize("broken", [b"", b"no image", b"\x89PNG\r\n\x1a\n", None])
    @pytest.mark.parametrize("memory_limit", [1 << 30, 1], ids=["in memory", "streamed"])
    def test_a_corrupt_image_is_named(
        self, make_folder: Make, memory_limit: int, broken: bytes | None
    ) -> None:
        root = make_folder()
        path = root / "train" / "bee" / "3.png"
        path.write_bytes(path.read_bytes()[:-60] if broken is None else broken)
        with pytest.raises(DataError, match=r"train/bee/3\.png: .* cannot be read"):
            data = image_folder(root, 8, memory_limit=memory_limit)
            data.train.fetch(torch.arange(len(data.train)))

    def test_a_corrupt_image_is_named_by_a_worker_process_too(self, make_folder: Make) -> None:
        root = make_folder()
        data = image_folder(root, 8, memory_limit=1, workers=1)
        for path in (root / "train").rglob("*.png"):
            path.write_bytes(b"no image")
        with pytest.raises(DataError, match=r"\.png: .* cannot be read"):
            list(data.train.batches(torch.arange(len(data.train)), 4))

    def test_test_images_are_not_opened_before_they_are_asked_for(self, make_folder: Make) -> None:
        root = make_folder()
        (root / "test" / "bee" / "0.png").write_bytes(b"no image")
        data = image_folder(root, 8)
        with pytest.raises(DataError, match=r"test/bee/0\.png: .* cannot be read"):
            pickle.loads(pickle.dumps(data)).test()

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_a_missing_split_is_named(self, make_folder: Make, split: str) -> None:
        root = make_folder()
        shutil.rmtree(root / split)
        with pytest.raises(DataError, match=f"there is no folder .*{split}"):
            image_folder(root, 8)

    def test_a_missing_root_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"nowhere: expected .*train/<class>/\*"):
            image_folder(tmp_path / "nowhere", 8)

    def test_images_without_class_folders_are_refused(self, make_folder: Make) -> None:
        root = make_folder()
        for folder in (root / "train").iterdir():
            shutil.rmtree(folder)
        (root / "train" / "a.png").write_bytes(b"")
        with pytest.raises(DataError, match="has no class folders"):
            image_folder(root, 8)

    def test_a_class_without_training_images_is_named(self, make_folder: Make) -> None:
        root = make_folder()
        (root / "train" / "cow").mkdir()
        with pytest.raises(DataError, match=r"train/cow has no images"):
            image_folder(root, 8)

    def test_a_class_of_the_test_split_alone_is_named(self, make_folder: Make) -> None:
        root = make_folder()
        (root / "test" / "cow").mkdir()
        with pytest.raises(DataError, match=r"got also \['cow'\]"):
            image_folder(root, 8)

    def test_no_test_images_at_all_are_found_before_the_search(self, make_folder: Make) -> None:
        root = make_folder()
        for image in (root / "test").rglob("*.png"):
            image.unlink()
        with pytest.raises(DataError, match="expected test images, got none"):
            image_folder(root, 8)

    def test_a_class_may_lack_test_images(self, make_folder: Make) -> None:
        root = make_folder()
        shutil.rmtree(root / "test" / "ant")
        assert image_folder(root, 8).test().labels.tolist() == [1, 1]

    @pytest.mark.parametrize("size", [0, -3])
    def test_an_impossible_size_is_refused(self, make_folder: Make, size: int) -> None:
        with pytest.raises(DataError, match="image_size of at least 1 pixel"):
            image_folder(make_folder(), size)
