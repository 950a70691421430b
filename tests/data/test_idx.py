from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from autokd.data.idx import check_idx_files, has_idx_files, read_idx_split
from autokd.errors import DataError


def idx(array: np.ndarray) -> bytes:
    """The format as its authors describe it: magic number, big-endian lengths, bytes."""
    header = b"\x00\x00\x08" + bytes([array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


IMAGES = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)
LABELS = np.array([0, 1, 0, 1, 1], dtype=np.uint8)


@pytest.fixture(params=["", ".gz"], ids=["plain", "packed"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    pack = gzip.compress if request.param else bytes
    for prefix in ("train", "t10k"):
        for kind, array in (("images-idx3-ubyte", IMAGES), ("labels-idx1-ubyte", LABELS)):
            (tmp_path / f"{prefix}-{kind}{request.param}").write_bytes(pack(idx(array)))
    return tmp_path


def file_of(folder: Path, name: str) -> Path:
    return next(folder.glob(f"{name}*"))


@pytest.mark.parametrize("test", [False, True])
def test_images_and_labels_are_read(folder: Path, test: bool) -> None:
    assert has_idx_files(folder)
    check_idx_files(folder)
    images, labels = read_idx_split(folder, test=test)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_a_folder_without_them_has_none(tmp_path: Path) -> None:
    assert not has_idx_files(tmp_path)
    assert not has_idx_files(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    file_of(folder, name).unlink()
    with pytest.raises(DataError, match=f"it lacks {name}$|it lacks {name}\n"):
        check_idx_files(folder)
    with pytest.raises(DataError, match=f"expected the file {name} or"):
        read_idx_split(folder, test=name.startswith("t10k"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing"),
        (b"\x00\x00\x08\x03\x00\x00", "begins with 00 00 08 03"),
        (b"\x00\x00\x0d\x03" + bytes(12), "begins with 00 00 0d 03"),
        (idx(LABELS), "begins with 00 00 08 01"),
        (idx(IMAGES)[:-1], r"expected 60 bytes for an array \(5, 3, 4\), got 59"),
        (idx(IMAGES) + b"\x00", "got 61"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "got 0"),
        (idx(IMAGES[1:]), "as many labels as images, got 5 labels and 4 images"),
    ],
)
def test_a_wrong_file_is_a_data_error(folder: Path, content: bytes, message: str) -> None:
    path = file_of(folder, "train-images")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    with pytest.raises(DataError, match=message):
        read_idx_split(folder, test=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(idx(IMAGES), mtime=0)[:-12]],
    ids=["empty", "text", "truncated"],
)
def test_a_broken_gzip_file_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: expected an idx file"):
        read_idx_split(tmp_path, test=False)
