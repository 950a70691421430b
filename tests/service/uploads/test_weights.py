"""What passes for a safetensors file is one, and nothing else passes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.uploads import Limits, TooLargeError, UploadError, WeightsSummary, check_safetensors

_LIMITS = Limits(header_bytes=10_000, tensors=5)
_TENSORS: dict[str, np.ndarray] = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "conv.bias": np.zeros(2, np.float16),
    "norm.num_batches_tracked": np.array(7, np.int64),
}
_VALID = safetensors.numpy.save(_TENSORS, {"format": "pt"})
_ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)


def _file(header: object, data: bytes = b"", *, size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


@pytest.fixture
def check(tmp_path: Path) -> Callable[[bytes], WeightsSummary]:
    def check(content: bytes) -> WeightsSummary:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return check_safetensors(path, _LIMITS)

    return check


Check = Callable[[bytes], WeightsSummary]


def test_a_file_of_weights_is_summed_up(check: Check) -> None:
    dtypes = {"F16": 2, "F32": 24, "I64": 1}
    assert check(_VALID) == WeightsSummary(tensors=3, parameters=27, dtypes=dtypes)


def test_padding_and_remarks_are_taken(check: Check) -> None:
    header = json.dumps({"__metadata__": {"a": "b"}, "w": _ENTRY}).encode() + b"    "
    assert check(_file(header, bytes(8))).parameters == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends before its header does"),
        (b"\x00\x00\x00", "ends before its header does"),
        (_VALID[:50], "ends before its header does"),
        (b"PK\x03\x04" + bytes(100), "ends before its header does"),
        (_file(b"{}", size=2**64 - 1), "ends before its header does"),
        (_file(b""), "begins with {, got b''"),
        (_file(b"[]"), "begins with {"),
        (_file(b" {}"), "begins with {"),
        (_file(b"{"), "in JSON"),
        (_file(b"{}{}"), "in JSON"),
        (_file(b'{"\xff": 1}'), "in JSON"),
        (_file(b'{"a":' + b"[" * 9_000), "in JSON"),
        (_file(b'{"a": NaN}'), "expected a number, got NaN"),
        (_file(b'{"a": 123456789012345678901234567890}'), "expected whole numbers of 0 to 2"),
        (_file(b'{"a": -0}'), "expected whole numbers of 0 to 2"),
        (_file(b'{"a": {}, "a": {}}'), "expected each name once, got 'a' twice"),
        (_file(b'{"a": {"dtype": "F32", "dtype": "F32"}}'), "'dtype' twice"),
        (_file({}), "expected tensors, got a file without any"),
        (_file({"__metadata__": {"a": "b"}}), "expected tensors, got a file without any"),
        (_file({"__metadata__": {"a": 1}, "w": _ENTRY}), "__metadata__ to hold texts"),
        (_file({"__metadata__": [], "w": _ENTRY}), "__metadata__ to hold texts"),
        (_file({"": _ENTRY}, bytes(8)), "expected names of 1 to 512 printable"),
        (_file({"a\x1b": _ENTRY}, bytes(8)), "expected names of 1 to 512 printable"),
        (_file({"\ud800": _ENTRY}, bytes(8)), "expected names of 1 to 512 printable"),
        (_file({"w": []}), "'w': expected data_offsets, dtype, shape, got"),
        (_file({"w": _ENTRY | {"more": 1}}), "'w': expected data_offsets, dtype, shape, got"),
        (_file({"w": _ENTRY | {"dtype": "O"}}), "expected a dtype of BOOL"),
        (_file({"w": _ENTRY | {"dtype": ["F32"]}}), "expected a dtype of BOOL"),
        (_file({"w": _ENTRY | {"shape": 2}}), "expected a shape of"),
        (_file({"w": _ENTRY | {"shape": [2.0]}}), "expected a shape of"),
        (_file({"w": _ENTRY | {"shape": [True]}}), "expected a shape of"),
        (_file({"w": _ENTRY | {"shape": [0]}}), "expected a shape of"),
        (_file({"w": _ENTRY | {"shape": [1] * 9}}), "expected a shape of"),
        (_file({"w": _ENTRY | {"data_offsets": [0]}}), "expected data_offsets"),
        (_file({"w": _ENTRY | {"data_offsets": [0, "8"]}}), "expected data_offsets"),
        (_file({"w": _ENTRY | {"data_offsets": [8, 0]}}), "expected 8 bytes of F32"),
        (_file({"w": _ENTRY | {"shape": [2**62, 2**62]}}), "got 8"),
        (_file({"w": _ENTRY}, bytes(7)), "expected 8 bytes of tensors, got 7"),
        (_file({"w": _ENTRY}, bytes(9)), "expected 8 bytes of tensors, got 9"),
        (
            _file({"w": _ENTRY, "v": _ENTRY}, bytes(8)),
            "'v': expected it to start where the one before it ends, at 8, got 0",
        ),
        (
            _file({"w": _ENTRY, "v": _ENTRY | {"data_offsets": [9, 17]}}, bytes(17)),
            "at 8, got 9",
        ),
    ],
)
def test_what_is_no_file_of_weights_is_refused(check: Check, content: bytes, message: str) -> None:
    with pytest.raises(UploadError) as caught:
        check(content)
    assert message in str(caught.value)
    assert str(caught.value).replace("\n", "").isprintable()


def test_a_header_or_more_tensors_than_allowed_are_too_large(check: Check) -> None:
    with pytest.raises(TooLargeError, match="header of at most 10000 bytes, got 10001"):
        check(_file(b"{" + b" " * 10_000))
    many: dict[str, Any] = {
        f"w{n}": _ENTRY | {"data_offsets": [8 * n, 8 * n + 8]} for n in range(6)
    }
    with pytest.raises(TooLargeError, match="at most 5 tensors, got 6"):
        check(_file(many, bytes(48)))


def _agrees(check: Check, content: bytes) -> None:
    """What is taken can be loaded, and is as it was summed up."""
    try:
        summary = check(content)
    except UploadError:
        return
    # NumPy has no such type as BF16, which the library tells in its own way.
    if "BF16" not in summary.dtypes:
        loaded = safetensors.numpy.load(content)
        assert len(loaded) == summary.tensors
        assert sum(array.size for array in loaded.values()) == summary.parameters


@fuzz
@given(st.binary(max_size=200))
def test_no_bytes_make_the_check_fail_otherwise(check: Check, content: bytes) -> None:
    _agrees(check, content)


@fuzz
@given(st.integers(0, len(_VALID) - 1), st.integers(0, len(_VALID)), st.binary(max_size=8))
def test_no_changed_file_makes_the_check_fail_otherwise(
    check: Check, start: int, end: int, inserted: bytes
) -> None:
    _agrees(check, _VALID[:start] + inserted + _VALID[max(start, end) :])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
_ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "U8", "I64", "F8_E4M3", "F4"]) | _JSON,
        "shape": st.lists(st.integers(0, 3), max_size=3) | _JSON,
        "data_offsets": st.lists(st.sampled_from([0, 4, 8, 12, 16, 24]), min_size=2, max_size=2)
        | _JSON,
    }
)


@fuzz
@given(st.dictionaries(st.text(max_size=3), _ENTRIES | _JSON, max_size=3), st.integers(0, 3))
def test_no_header_makes_the_check_fail_otherwise(
    check: Check, header: dict[str, Any], eights: int
) -> None:
    _agrees(check, _file(header, bytes(8 * eights)))
