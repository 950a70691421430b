"""What passes for an archive of images can be learned from, and nothing else passes."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autokd.data import npz
from autokd.errors import DataError
from service.uploads import ImagesSummary, Limits, TooLargeError, UploadError, check_npz

_LIMITS = Limits(unpacked_bytes=20_000)
_ARRAYS: dict[str, Any] = {
    "x_train": np.arange(8 * 5 * 4, dtype=np.uint8).reshape(8, 5, 4),
    "y_train": np.array([0, 1] * 4),
    "x_test": np.zeros((4, 5, 4), np.uint8),
    "y_test": np.array([0, 1, 0, 1], np.uint8),
}

fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)


@dataclass
class Check:
    """Writes an upload to `path` and checks it."""

    path: Path

    def __call__(self, content: bytes) -> ImagesSummary:
        self.path.write_bytes(content)
        return check_npz(self.path, _LIMITS)


@pytest.fixture
def check(tmp_path: Path) -> Check:
    return Check(tmp_path / "upload.npz")


def _npz(compressed: bool = True, **changed: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **(_ARRAYS | changed))
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


def _zip(members: dict[str, bytes], **options: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


_MEMBERS = {f"{key}.npy": _npy(array) for key, array in _ARRAYS.items()}
_VALID = _npz()


def _with_header(header: bytes, *, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An archive whose x_train says this of itself."""
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return _zip(_MEMBERS | {"x_train.npy": b"\x93NUMPY" + version + size + header + data})


@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_of_images_is_summed_up(check: Check, compressed: bool) -> None:
    summary = check(_npz(compressed))
    assert (summary.train, summary.test, summary.shape) == (8, 4, (5, 4))
    assert summary.unpacked_bytes == sum(map(len, _MEMBERS.values()))


def test_channels_are_part_of_the_shape(check: Check) -> None:
    x = np.zeros((8, 5, 4, 3), np.uint8)
    assert check(_npz(x_train=x, x_test=x[:4])).shape == (5, 4, 3)


def test_arrays_in_fortran_order_and_of_other_byte_order_are_taken(check: Check) -> None:
    images = np.asfortranarray(_ARRAYS["x_train"])
    assert check(_npz(x_train=images, y_train=_ARRAYS["y_train"].astype(">i2"))).train == 8


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x_train": np.zeros((8, 5, 4))}, "expected x_train to be uint8 from 0 to 255, got float"),
        ({"x_test": np.zeros((4, 5), np.uint8)}, "expected x_test to be (n, height, width)"),
        ({"x_train": np.zeros((8, 5, 4, 5), np.uint8)}, "at most 4 channels, got (8, 5, 4, 5)"),
        ({"x_train": np.zeros((8, 0, 4), np.uint8)}, "got (8, 0, 4)"),
        ({"x_train": np.zeros((8, 5, 5), np.uint8)}, "of the training images, (5, 5), got (5, 4)"),
        ({"y_train": np.zeros(8)}, "expected y_train to be whole numbers (n,), got float64 (8,)"),
        ({"y_train": np.zeros((8, 2), int)}, "expected y_train to be whole numbers (n,)"),
        ({"y_train": np.zeros(8, bool)}, "expected y_train to be whole numbers (n,), got bool"),
        ({"y_train": np.zeros(7, int)}, "got 8 in x_train and 7 in y_train"),
        ({"y_test": np.array(1)}, "expected y_test to be whole numbers (n,)"),
        ({"x_test": np.zeros((0, 5, 4), np.uint8), "y_test": np.zeros(0, int)}, "got 0 in x_test"),
        ({"y_train": np.array(["a"] * 8)}, "expected y_train to be whole numbers (n,), got <U1"),
        ({"y_train": np.array([{}] * 8, object)}, "expected y_train to be whole numbers (n,)"),
        ({"x_train": np.zeros(8, [("a", "u1")])}, "expected the header of a plain array"),
        ({"y_train": np.zeros(8, "M8[s]")}, "expected the header of a plain array"),
        ({"more": np.zeros(1)}, "expected exactly x_train.npy, y_train.npy, x_test.npy, y_test"),
    ],
)
def test_arrays_that_no_study_could_use_are_refused(
    check: Check, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(UploadError) as caught:
        check(_npz(**changed))
    assert message in str(caught.value)


def test_an_object_array_is_never_unpickled(check: Check) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("unpickled",)

    with pytest.raises(UploadError, match="got object"):
        check(_npz(y_train=np.array([Bomb()] * 8, object)))


@pytest.mark.parametrize(
    "name",
    [
        "../x_train.npy",
        "/x_train.npy",
        "./x_train.npy",
        "a\\x_train.npy",
        "x_train.npy/",
        "x_train",
        "X_TRAIN.npy",
        "x_train.npy\x00.exe",
        "x_train.npy\x00",
        "x_train\u2024npy",
        "\x1b[2J",
    ],
)
def test_a_member_of_any_other_name_is_refused(check: Check, name: str) -> None:
    others = {key: content for key, content in _MEMBERS.items() if key != "x_train.npy"}
    placeholder = "?" * len(name.encode())
    content = _zip({placeholder: _MEMBERS["x_train.npy"]} | others)
    flagged = content.replace(placeholder.encode(), name.encode())
    with pytest.raises(UploadError, match=r"expected exactly x_train\.npy") as caught:
        check(flagged)
    assert str(caught.value).replace("\n", "").isprintable()


def test_a_name_that_occurs_twice_is_refused(check: Check) -> None:
    content = _zip(_MEMBERS | {"y_tesT.npy": b""}).replace(b"y_tesT", b"y_test")
    with pytest.raises(UploadError, match="expected exactly"):
        check(content)


def test_names_that_differ_between_directory_and_member_are_refused(check: Check) -> None:
    content = _zip(_MEMBERS)
    with pytest.raises(UploadError, match="differ"):
        check(content.replace(b"x_train", b"y_TRAIN", 1))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compressions_are_refused(check: Check, compression: int) -> None:
    with pytest.raises(UploadError, match="expected it stored or deflated, got compression"):
        check(_zip(_MEMBERS, compression=compression))


def test_an_encrypted_archive_is_refused(check: Check) -> None:
    content = bytearray(_zip(_MEMBERS))
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    with pytest.raises(UploadError, match="encrypted"):
        check(bytes(content))


def test_more_than_the_limit_is_refused_by_what_the_archive_declares(check: Check) -> None:
    bomb = _npz(x_train=np.zeros((8, 100, 100), np.uint8), x_test=np.zeros((4, 100, 100), np.uint8))
    assert len(bomb) < 2_000
    with pytest.raises(TooLargeError, match="at most 20000 bytes, got 120"):
        check(bomb)


def test_a_member_that_unpacks_to_more_than_it_declares_is_refused(check: Check) -> None:
    members = _MEMBERS | {"x_train.npy": _MEMBERS["x_train.npy"] + bytes(10_000_000)}
    content = bytearray(_zip(members, compression=zipfile.ZIP_DEFLATED))
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", len(_MEMBERS["x_train.npy"]))
    with pytest.raises(UploadError, match="cannot be read|expected"):
        check(bytes(content))


def test_a_member_that_unpacks_to_less_than_it_declares_is_refused(check: Check) -> None:
    content = bytearray(_zip(_MEMBERS, compression=zipfile.ZIP_DEFLATED))
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", len(_MEMBERS["x_train.npy"]) + 1)
    with pytest.raises(UploadError):
        check(bytes(content))


def test_a_changed_pixel_is_noticed_by_its_check_sum(check: Check) -> None:
    content = _npz(compressed=False)
    at = content.index(bytes(range(20)))
    with pytest.raises(UploadError, match="Bad CRC-32"):
        check(content[:at] + b"\xff" + content[at + 1 :])


def test_a_directory_of_many_members_is_not_read(check: Check) -> None:
    content = _zip({f"{'a' * 60_000}{number}": b"" for number in range(20)})
    with pytest.raises(UploadError, match="expected an archive of 4 arrays, got a larger one"):
        check(content)


@pytest.mark.parametrize(
    "content", [b"", b"PK", _VALID[1:], b"MZ" + _VALID, _MEMBERS["x_test.npy"]]
)
def test_what_is_no_archive_is_refused(check: Check, content: bytes) -> None:
    with pytest.raises(UploadError, match="got a file of another format"):
        check(content)


_PLAIN = b"{'descr': '|u1', 'fortran_order': False, 'shape': (8, 5, 4), }"


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00"])
def test_both_versions_of_the_header_are_taken(check: Check, version: bytes) -> None:
    assert check(_with_header(_PLAIN + b"   \n", data=bytes(160), version=version)).train == 8


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}\n",
        _PLAIN,
        _PLAIN[:-1] + b"'more': 1}\n",
        _PLAIN.replace(b"8,", b"8L,") + b"\n",
        _PLAIN.replace(b"8,", b"-8,") + b"\n",
        _PLAIN.replace(b"8,", b"08,") + b"\n",
        _PLAIN.replace(b"8,", b"1e1,") + b"\n",
        _PLAIN.replace(b"8,", b"9" * 5000 + b",") + b"\n",
        _PLAIN.replace(b"(8, 5, 4)", b"[8, 5, 4]") + b"\n",
        _PLAIN.replace(b"(8, 5, 4)", b"(160)") + b"\n",
        _PLAIN.replace(b"(8, 5, 4)", b"(" * 5000) + b"\n",
        _PLAIN.replace(b"'|u1'", b"'u9'") + b"\n",
        _PLAIN.replace(b"'|u1'", b"'\\d1'") + b"\n",
        _PLAIN.replace(b"'|u1'", b"__import__('os')") + b"\n",
    ],
)
def test_only_a_header_that_numpy_writes_for_a_plain_array_is_evaluated(
    check: Check, header: bytes
) -> None:
    with pytest.raises(UploadError):
        check(_with_header(header, data=bytes(160)))


def test_a_header_of_another_size_than_it_says_is_refused(check: Check) -> None:
    for size in (10, 200, 65535):
        member = b"\x93NUMPY\x01\x00" + struct.pack("<H", size) + _PLAIN + b"\n" + bytes(160)
        with pytest.raises(UploadError):
            check(_zip(_MEMBERS | {"x_train.npy": member}))


@given(st.from_regex(r"[<>|=]?[biufcSUVO][0-9]{0,4}", fullmatch=True))
@fuzz
def test_no_type_that_a_header_may_name_makes_the_check_fail_otherwise(
    check: Check, descr: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _agrees(
            check, _with_header(_PLAIN.replace(b"|u1", descr.encode()) + b"\n", data=bytes(160))
        )


def _agrees(check: Check, content: bytes) -> None:
    """What is taken is read by a study too, unless it is about the values of the labels."""
    try:
        summary = check(content)
    except UploadError:
        return
    try:
        data = npz(check.path)
    except DataError as error:
        assert "label" in str(error) or "class" in str(error)
    else:
        assert data.task.input_shape[1:] == summary.shape[:2]


@fuzz
@given(st.binary(max_size=200) | st.binary(max_size=200).map(b"PK\x03\x04".__add__))
def test_no_bytes_make_the_check_fail_otherwise(check: Check, content: bytes) -> None:
    _agrees(check, content)


@fuzz
@given(
    st.sampled_from([_VALID, _zip(_MEMBERS)]),
    st.integers(0, 4000),
    st.integers(0, 4),
    st.binary(max_size=4),
)
def test_no_changed_archive_makes_the_check_fail_otherwise(
    check: Check, content: bytes, start: int, removed: int, inserted: bytes
) -> None:
    start %= len(content)
    _agrees(check, content[:start] + inserted + content[start + removed :])


@fuzz
@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_no_changed_directory_makes_the_check_fail_otherwise(
    check: Check, back: int, written: bytes
) -> None:
    content = bytearray(_VALID)
    start = max(len(content) - back - len(written), 0)
    content[start : start + len(written)] = written
    _agrees(check, bytes(content))


@fuzz
@given(
    st.sampled_from(["u1", "i1", "i8", "u4", "f4", "?"]),
    st.sampled_from(["u1", "i8", "u2", "f8", "?", "U1", "O"]),
    st.lists(st.integers(0, 5), max_size=5),
    st.lists(st.integers(0, 5), max_size=2),
)
def test_types_and_shapes_are_taken_as_a_study_takes_them(
    check: Check, pixel: str, label: str, images: list[int], labels: list[int]
) -> None:
    x, y = np.zeros(images, pixel), np.zeros(labels, label)
    content = _npz(x_train=x, y_train=y, x_test=x, y_test=y)
    try:
        check(content)
        taken = True
    except UploadError:
        taken = False
    with pytest.raises(DataError) as caught:  # the labels are all of one class
        npz(check.path)
    about_values = "at least 2 classes" in str(caught.value)
    assert taken == about_values
