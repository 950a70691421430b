from __future__ import annotations

import pickle  # noqa: TID251 (as data travels to worker processes)
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autokd.data import from_arrays, npz
from autokd.errors import DataError
from autokd.task import Task

Make = Callable[..., dict[str, Any]]


def saved(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("shape", "input_shape"),
    [((6, 5), (1, 6, 5)), ((6, 5, 1), (1, 6, 5)), ((6, 5, 3), (3, 6, 5))],
)
def test_images_are_grey_or_have_their_channels_last(
    make_arrays: Make,
    tmp_path: Path,
    shape: tuple[int, ...],
    input_shape: tuple[int, int, int],
) -> None:
    arrays = make_arrays(shape=shape)
    for data in (from_arrays(**arrays), npz(saved(tmp_path / "set.npz", arrays))):
        assert data.task == Task(input_shape, 3)
        test = data.test().fetch(torch.arange(9))
        expected = torch.from_numpy(arrays["x_test"].reshape(9, 6, 5, -1)).permute(0, 3, 1, 2)
        assert torch.equal(test, expected)
        assert data.test().labels.tolist() == arrays["y_test"].tolist()


def test_an_archive_gives_the_same_data_as_its_arrays(make_arrays: Make, tmp_path: Path) -> None:
    arrays = make_arrays()
    data = npz(saved(tmp_path / "faces.npz", arrays), seed=3)
    assert data.name == "faces"
    assert data.fingerprint == from_arrays(**arrays, seed=3).fingerprint


def test_arrays_may_be_lists_read_only_or_views(make_arrays: Make) -> None:
    arrays = make_arrays()
    expected = from_arrays(**arrays).fingerprint
    arrays["x_train"].setflags(write=False)
    arrays["x_test"] = arrays["x_test"][::-1]
    data = from_arrays(**{**arrays, "y_train": arrays["y_train"].tolist()})
    assert data.fingerprint == expected
    first = data.test().fetch(torch.tensor([0]))[0, 0]
    assert torch.equal(first, torch.from_numpy(arrays["x_test"][0].copy()))


def test_an_archive_may_hold_further_arrays(make_arrays: Make, tmp_path: Path) -> None:
    npz(saved(tmp_path / "set.npz", {**make_arrays(), "names": np.arange(3)}))


WRONG: list[tuple[str, Callable[[np.ndarray], Any], str]] = [
    ("x_train", lambda x: x / 255, "x_train to be uint8 from 0 to 255, got float64"),
    ("x_test", lambda x: x.astype(np.int64), "x_test to be uint8 from 0 to 255, got int64"),
    ("x_train", lambda x: x.astype(bool), "x_train to be uint8 from 0 to 255, got bool"),
    ("x_train", lambda x: x.reshape(len(x), -1), r"x_train to be \(n, height, width\)"),
    ("x_train", lambda x: x[:, None].repeat(3, 1), r"at most 4 channels, got \(30, 3, 6, 5\)"),
    ("x_train", lambda x: x[:, :0], r"x_train to be \(n, height, width\)"),
    ("x_train", lambda x: x[0, 0, 0], r"x_train to be \(n, height, width\).*got \(\)"),
    ("x_train", lambda x: x[1:], "as many labels as images, got 29 in x_train and 30 in y_train"),
    ("x_test", lambda x: x[:, 1:], "test images of the shape of the training images"),
    ("x_test", lambda x: x[1:], "as many labels as images, got 8 in x_test and 9 in y_test"),
    ("y_train", lambda y: y.astype(float), "y_train to be whole numbers"),
    ("y_train", lambda y: np.eye(3, dtype=int)[y], r"y_train to be whole numbers .* \(30, 3\)"),
    ("y_test", lambda y: y.astype(str), "y_test to be whole numbers"),
    ("y_train", lambda y: y + 1, "training labels 0, 1, 2, … .* from 1 to 3"),
    ("y_train", lambda y: y - 1, "training labels 0, 1, 2, … .* from -1 to 1"),
    ("y_train", lambda y: y * 2, "training labels 0, 1, 2, … .* from 0 to 4"),
    ("y_train", lambda y: y * 10**12, "training labels 0, 1, 2, …"),
    ("y_train", lambda y: y * 0, "at least 2 classes, got 1"),
    ("y_train", lambda y: np.r_[3, y[1:]], "at least 2 training images of each class, got 1 of 3"),
]


@pytest.mark.parametrize(("key", "change", "message"), WRONG, ids=[case[2] for case in WRONG])
@pytest.mark.parametrize("source", ["from_arrays", "npz"])
def test_wrong_arrays_are_refused_before_the_search(
    make_arrays: Make,
    tmp_path: Path,
    source: str,
    key: str,
    change: Callable[[np.ndarray], Any],
    message: str,
) -> None:
    arrays = make_arrays()
    arrays[key] = change(arrays[key])
    with pytest.raises(DataError, match=message):
        if source == "npz":
            npz(saved(tmp_path / "set.npz", arrays))
        else:
            from_arrays(**arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y + 1, "test labels from 0 to 2, .* got 3"),
        (lambda y: y - 1, "test labels from 0 to 2, .* got -1"),
        (lambda y: y + 10 * np.arange(len(y)), r"got 11, 22, 30, 41, 52, … \(8 in all\)"),
    ],
)
def test_test_labels_outside_the_classes_are_found_before_the_search(
    make_arrays: Make, tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    arrays = make_arrays()
    arrays["y_test"] = change(arrays["y_test"])
    path = saved(tmp_path / "set.npz", arrays)
    with pytest.raises(DataError, match=message):
        npz(path)
    with pytest.raises(DataError, match=message):
        from_arrays(**arrays)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_images_is_refused(make_arrays: Make, tmp_path: Path, split: str) -> None:
    arrays = make_arrays()
    for key in ("x", "y"):
        arrays[f"{key}_{split}"] = arrays[f"{key}_{split}"][:0]
    path = saved(tmp_path / "set.npz", arrays)
    with pytest.raises(DataError, match=f"expected {split}(ing)? images, got none"):
        from_arrays(**arrays)
    with pytest.raises(DataError, match=f"expected {split}(ing)? images, got none"):
        npz(path)


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_a_missing_array_is_named_with_those_that_are_there(
    make_arrays: Make, tmp_path: Path, key: str
) -> None:
    arrays = make_arrays()
    del arrays[key]
    with pytest.raises(DataError, match="expected the arrays x_train, .* got") as caught:
        npz(saved(tmp_path / "set.npz", arrays))
    assert key not in caught.value.message.split("got")[1]


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        npz(tmp_path / "nowhere.npz")
    with pytest.raises(DataError, match="no such file"):
        npz(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"not an archive", b"\x93NUMPY\x01\x00v\x00"], ids=repr
)
def test_a_file_that_is_no_archive_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        npz(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_a_data_error(
    make_arrays: Make, tmp_path: Path, share: float
) -> None:
    path = saved(tmp_path / "set.npz", make_arrays())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match="cannot be read"):
        npz(path)


def test_flipped_bytes_in_the_images_are_a_data_error(make_arrays: Make, tmp_path: Path) -> None:
    path = saved(tmp_path / "set.npz", make_arrays())
    content = bytearray(path.read_bytes())
    for position in range(400, 440):
        content[position] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cannot be read"):
        npz(path)


def test_the_test_images_are_not_read_before_they_are_asked_for(
    make_arrays: Make, tmp_path: Path
) -> None:
    path = tmp_path / "set.npz"
    arrays = make_arrays(test=300)
    np.savez(path, **arrays)  # not compressed, so that the bytes of an image can be found
    content = bytearray(path.read_bytes())
    content[content.index(arrays["x_test"][200].tobytes())] ^= 0xFF
    path.write_bytes(bytes(content))
    data = npz(path)
    with pytest.raises(DataError, match="cannot be read"):
        data.test()


class Trap:
    """Its unpickling leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test", "extra"])
def test_pickled_objects_are_never_loaded(make_arrays: Make, tmp_path: Path, key: str) -> None:
    trace = tmp_path / "trace"
    arrays = {**make_arrays(), key: np.array([Trap(trace)] * 30, dtype=object)}
    path = saved(tmp_path / "set.npz", arrays)
    if key == "extra":
        npz(path).test()
    else:
        with pytest.raises(DataError, match="got object"):
            npz(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Trap(trace)))
    assert trace.exists()  # the trap works
